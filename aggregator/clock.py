"""Unix seconds that stay right when the machine's wall clock steps.

The wall clock is compared with the monotonic clock, which never steps. If the two have moved apart by more than a
second since the last reading, the wall clock was set, or the machine was suspended. Which of the two is right is
unknown until outside times, those of the exchanges' tickers, agree with one of them.

| the wall clock  | outside times               | `now` returns                                                    |
| --------------- | --------------------------- | ---------------------------------------------------------------- |
| has not stepped | -                           | the wall clock                                                   |
| has stepped     | none yet                    | the later of the two, so that prices look old rather than fresh  |
| has stepped     | agree with the clock before | the clock before the step, continued by the monotonic clock      |
| has stepped     | agree with the wall clock   | the wall clock                                                   |
"""

import math
import time
from collections.abc import Callable, Iterable

STEP = 1.0  # seconds; NTP slews the clock by less than this between two readings
REPORT_SECONDS = 600.0  # for which a confirmed step is reported
_NEAR = 60.0  # seconds; an outside time further than this from both clocks is evidence for neither


class SteadyClock:
    """Unix seconds, and whether the machine's clock is wrong. A call reads both clocks once."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()  # unix seconds minus monotonic seconds
        self._contradicted: float | None = None  # the step that outside times contradict
        self._confirmed: list[tuple[float, float]] = []  # (monotonic time, seconds) of recent confirmed steps
        self._latest_before_step = -math.inf  # the latest `now` before a confirmed step back

    def now(self) -> float:
        """Return unix seconds."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) <= STEP:
            self._ahead += step  # slewed by NTP
            self._contradicted = None
            return wall
        return before if self._is_contradicted(step) else max(before, wall)

    @property
    def is_off(self) -> bool:
        """Whether the wall clock has stepped and the step is not confirmed, so that `witness` needs outside times."""
        before, wall = self._readings()
        return abs(wall - before) > STEP

    @property
    def repeats(self) -> bool:
        """Whether `now` passes through a period for the second time, because the clock was set back.

        Meanwhile a price of the first pass looks as young as one of the second.
        """
        return self.now() <= self._latest_before_step

    def witness(self, times: Iterable[float]) -> None:
        """Decide by current outside times (unix seconds) which clock is right; the majority of them counts."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) <= STEP:
            return
        distances = [(abs(one - before), abs(one - wall)) for one in times]
        near = [(to_before, to_wall) for to_before, to_wall in distances if min(to_before, to_wall) <= _NEAR]
        balance = sum((to_wall < to_before) - (to_before < to_wall) for to_before, to_wall in near)
        if balance > 0:
            self._confirm(step)
        elif balance < 0:
            self._contradicted = step

    @property
    def trouble(self) -> str:
        """Problem of the wall clock, or an empty text. A confirmed step is reported for ten minutes."""
        before, wall = self._readings()
        step = wall - before
        if abs(step) > STEP:
            stepped = f"this machine's clock has stepped by {step:+.0f} s"
            if self._is_contradicted(step):
                return f"{stepped}; the exchanges' times disagree, so prices use the time before: set the clock right"
            return f"{stepped}; until the exchanges' times confirm or contradict it, prices count as old"
        since = self._monotonic() - REPORT_SECONDS
        confirmed = sum(seconds for at, seconds in self._confirmed if at > since)
        if abs(confirmed) > STEP:
            return f"this machine's clock has stepped by {confirmed:+.0f} s, as the exchanges' times confirm"
        return ""

    def _readings(self) -> tuple[float, float]:
        """Return unix seconds by the clock before any step, and by the wall clock."""
        return self._monotonic() + self._ahead, self._wall()

    def _is_contradicted(self, step: float) -> bool:
        return self._contradicted is not None and abs(step - self._contradicted) <= STEP

    def _confirm(self, step: float) -> None:
        now = self._monotonic()
        self._confirmed = [one for one in self._confirmed if one[0] > now - REPORT_SECONDS] + [(now, step)]
        if step < 0:
            self._latest_before_step = max(self._latest_before_step, now + self._ahead)
        self._ahead += step
        self._contradicted = None
