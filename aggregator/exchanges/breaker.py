"""A circuit breaker per exchange: stop asking who keeps failing, and find out gently when it is back.

The states and counts are aiobreaker's; what 1.2.0 gets wrong under concurrency is kept away from it. It never wraps a
call. The breaker admits the call, runs it, and only then tells the breaker the outcome, in one synchronous step:

| state     | call may pass                                  | failure     | success                                 |
| --------- | ---------------------------------------------- | ----------- | --------------------------------------- |
| closed    | always                                         | fifth: open | the count starts again                  |
| open      | never; after its rest, 30 s, as in half-open   | -           | -                                       |
| half-open | one at a time                                  | open again  | second: closed                          |

An outcome counts only in the state its call was admitted in, so stragglers neither close nor re-open nor prolong
anything. Time is the monotonic clock handed in; aiobreaker's own mixture of local and UTC time is never read.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import aiobreaker
from aiobreaker.state import CircuitBreakerState
from aiobreaker.storage.memory import CircuitMemoryStorage

from aggregator.errors import BreakerOpen, ExchangeError

T = TypeVar("T")

_NAMES = {
    CircuitBreakerState.CLOSED: "closed",
    CircuitBreakerState.OPEN: "open",
    CircuitBreakerState.HALF_OPEN: "half-open",
}


class BreakerGroup:
    """For how many seconds the breakers of a process' exchanges rest: `usual`, and `brief` while all of them are open.

    Then there are no prices any more, and whoever is back first has to be found at once. One probe at a time is all it
    takes.
    """

    def __init__(self, usual: float = 30.0, brief: float = 30.0) -> None:
        self.usual = usual
        self._brief = brief
        self._breakers: list[CircuitBreaker] = []

    def join(self, breaker: "CircuitBreaker") -> None:
        """Take in one exchange's breaker."""
        self._breakers.append(breaker)

    def shorten(self) -> None:
        """Make the rest of all of them brief if nobody is left to ask."""
        if not any(breaker.state == "closed" for breaker in self._breakers):
            for breaker in self._breakers:
                breaker.rest = self._brief


class CircuitBreaker:
    """Admits calls to one exchange. `on_change` hears each new state once in effect, and the error that led to it."""

    def __init__(
        self,
        clock: Callable[[], float],
        on_change: Callable[[str, ExchangeError | None], None],
        rest: BreakerGroup | None = None,
        failures: int = 5,
        probes: int = 2,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._group = rest or BreakerGroup()
        self._group.join(self)
        self.rest = self._group.usual  # seconds, of an open breaker
        self._probes = probes
        self._breaker = aiobreaker.CircuitBreaker(
            fail_max=failures,
            timeout_duration=timedelta(0),  # the breaker keeps the time
            state_storage=CircuitMemoryStorage(CircuitBreakerState.CLOSED),
        )
        self._generation = 0  # counts changes of state: an outcome from an earlier one is nobody's business any more
        self._opened_at = 0.0
        self._good_probes = 0
        self._probing = False

    @property
    def state(self) -> str:
        """One of closed, open and half-open."""
        return _NAMES[self._breaker.current_state]

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` and return its result. Raises BreakerOpen when it may not run, or what `work` raises."""
        probe = self._admit()
        generation = self._generation
        try:
            result = await work()
        except ExchangeError as error:
            if error.counts:
                self._record(generation, error)
            raise
        else:
            self._record(generation, None)
            return result
        finally:
            # also on cancellation; a probe of an earlier generation has no slot to give back
            if probe and generation == self._generation:
                self._probing = False

    def check(self) -> None:
        """Raise BreakerOpen when a call would not be admitted now: for those who would have to queue for it."""
        if self._breaker.current_state is CircuitBreakerState.OPEN and self._clock() < self._opened_at + self.rest:
            raise BreakerOpen("resting")
        if self._probing:
            raise BreakerOpen("a probe is under way")

    def _admit(self) -> bool:
        """Let the call pass, telling whether it is a probe, or raise BreakerOpen."""
        self.check()
        if self._breaker.current_state is CircuitBreakerState.CLOSED:
            return False
        if self._breaker.current_state is CircuitBreakerState.OPEN:
            self._enter(self._breaker.half_open, None)
        self._probing = True
        return True

    def _record(self, generation: int, error: ExchangeError | None) -> None:
        if generation != self._generation:
            return
        state = self._breaker.current_state
        if error is None and state is CircuitBreakerState.CLOSED and self._breaker.fail_counter == 0:
            return  # as nearly always: there is no count that would start again
        if error is None and state is CircuitBreakerState.HALF_OPEN:
            self._good_probes += 1
            if self._good_probes < self._probes:
                return
        self._enter(lambda: self._report(error), error)

    def _report(self, error: ExchangeError | None) -> None:
        """Report one outcome to aiobreaker, which raises it again: the error itself, or its own when it trips."""

        def outcome() -> None:
            if error is not None:
                raise error

        with suppress(ExchangeError, aiobreaker.CircuitBreakerError):
            self._breaker.call(outcome)

    def _enter(self, step: Callable[[], None], error: ExchangeError | None) -> None:
        """Take a step that may change the state; if it did, begin a new generation and say so."""
        before = self._breaker.current_state
        step()
        after = self._breaker.current_state
        if after is before:
            return
        self._generation += 1
        self._good_probes = 0
        self._probing = False
        if after is CircuitBreakerState.OPEN:
            self._opened_at = self._clock()
            self.rest = self._group.usual
            self._group.shorten()
        self._on_change(_NAMES[after], error)
