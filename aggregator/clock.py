"""Unix seconds for prices, which a step of the machine's wall clock does not mislead.

The wall clock is compared with the monotonic clock, which never steps. Where the two have drifted apart by more than a
second since the last look, the wall clock was set (or the machine was suspended), and it is not known which of the two
is right until times from outside, those of the exchanges' tickers, agree with one of them.

| the wall clock  | times from outside          | `now` is                                                         |
| --------------- | --------------------------- | ---------------------------------------------------------------- |
| has not stepped | -                           | the wall clock                                                   |
| has stepped     | none yet                    | the later of the two: a price rather looks old than fresh        |
| has stepped     | agree with the clock before | the clock before the step, carried on by the monotonic clock     |
| has stepped     | agree with the wall clock   | the wall clock                                                   |
"""

import math
import time
from collections.abc import Callable, Iterable

STEP = 1.0  # seconds; NTP slews less than this between two looks
TOLD_SECONDS = 600.0  # for which a step is told that the exchanges agree with
_NEAR = 60.0  # seconds; a time further than this from both clocks says nothing about either


class SteadyClock:
    """Unix seconds, and what is wrong with the machine's clock. Costs two readings a call."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()  # what the monotonic clock lacks to unix seconds
        self._refuted: float | None = None  # the step that times from outside speak against
        self._followed: list[tuple[float, float]] = []  # (monotonic time, seconds) of steps followed lately
        self._reached = -math.inf  # unix seconds before a step back that was followed

    def now(self) -> float:
        """Return unix seconds."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) <= STEP:
            self._ahead += step  # slewed by NTP
            self._refuted = None
            return wall
        return before if self._is_refuted(step) else max(before, wall)

    @property
    def is_off(self) -> bool:
        """Whether the wall clock has stepped and was not followed, so that times from outside are wanted."""
        before, wall = self._readings()
        return abs(wall - before) > STEP

    @property
    def repeats(self) -> bool:
        """Whether `now` goes through a time for the second time, having been set back.

        A price made in the first pass then looks as young as one made in this.
        """
        return self.now() <= self._reached

    def witness(self, times: Iterable[float]) -> None:
        """Let times of now, from outside (unix seconds), tell which clock is right; the majority counts."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) <= STEP:
            return
        offs = [(abs(one - before), abs(one - wall)) for one in times]
        told = [(to_before, to_wall) for to_before, to_wall in offs if min(to_before, to_wall) <= _NEAR]
        balance = sum((to_wall < to_before) - (to_before < to_wall) for to_before, to_wall in told)
        if balance > 0:
            self._follow(step)
        elif balance < 0:
            self._refuted = step

    @property
    def trouble(self) -> str:
        """The wall clock's fault in words, or nothing. A step that was followed is reported for ten minutes."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) > STEP:
            told = f"this machine's clock has stepped by {step:+.0f} s"
            if self._is_refuted(step):
                return (
                    f"{told}; the exchanges' times disagree, so prices keep the time from before: set the clock right"
                )
            return f"{told}; until the exchanges' times tell whether it is right, prices count as old"
        since = self._monotonic() - TOLD_SECONDS
        followed = sum(seconds for at, seconds in self._followed if at > since)
        if abs(followed) > STEP:
            return (
                f"this machine's clock has stepped by {followed:+.0f} s, as the exchanges' have: times before it differ"
            )
        return ""

    def _readings(self) -> tuple[float, float]:
        """Return unix seconds by the clock before any step, and by the wall clock."""
        return self._monotonic() + self._ahead, self._wall()

    def _is_refuted(self, step: float) -> bool:
        return self._refuted is not None and abs(step - self._refuted) <= STEP

    def _follow(self, step: float) -> None:
        now = self._monotonic()
        self._followed = [one for one in self._followed if one[0] > now - TOLD_SECONDS] + [(now, step)]
        if step < 0:
            self._reached = max(self._reached, now + self._ahead)
        self._ahead += step
        self._refuted = None
