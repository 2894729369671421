"""A circuit breaker: stops calls to a system that keeps failing, and finds out with single calls when it is back.

| state     | a call is admitted                              | failure              | success                  |
| --------- | ----------------------------------------------- | -------------------- | ------------------------ |
| closed    | always                                          | Nth in a row: open   | the count starts again   |
| open      | no; after `open_seconds` as in half-open        | -                    | -                        |
| half-open | as a probe, one at a time                       | open again           | Mth: closed              |

N is `BreakerRules.failures`, M is `BreakerRules.probes`. An outcome counts only in the state that its call was admitted
in, so late calls neither close nor open the breaker, nor keep it open for longer. A cancelled call has no outcome.

aiobreaker holds the state and the count of failures. aiobreaker 1.2.0 is wrong under concurrency: it admits any number
of probes, and late outcomes change its state. Therefore aiobreaker never runs a call. This module admits the
call, and reports the outcome to aiobreaker in one synchronous step. The time is the monotonic clock passed in, because
aiobreaker mixes local time and UTC.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Generic, TypeVar

import aiobreaker
import msgspec
from aiobreaker.state import CircuitBreakerState
from aiobreaker.storage.memory import CircuitMemoryStorage

E = TypeVar("E", bound=Exception)


_STATES: dict[CircuitBreakerState, str] = {
    CircuitBreakerState.CLOSED: "closed",
    CircuitBreakerState.OPEN: "open",
    CircuitBreakerState.HALF_OPEN: "half-open",
}


class _Failure(Exception):
    """Reported to aiobreaker instead of the caller's error, whose traceback then stays as it is."""


def _fail() -> None:
    raise _Failure


def _succeed() -> None:
    pass


def _always(_error: Exception) -> bool:
    return True


class BreakerRules(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """Conditions that open and close a breaker, and how long it stays open.

    Exceptions of type `errors` for which `counts` returns True are failures; all others count as no outcome at all.
    `refusal` makes the exception for a call that is not admitted, from the reason and the text of the last failure.
    """

    errors: type[E]
    refusal: Callable[[str, str], Exception]
    counts: Callable[[E], bool] = _always
    failures: int
    open_seconds: float
    probes: int


class BreakerGroup:
    """Breakers of systems that replace each other. While none is closed, each stays open for at most `brief` seconds.

    With every system out of use there is no data at all, so the first one that is back must be found soon.
    """

    def __init__(self, brief: float = math.inf) -> None:
        self._brief = brief
        self._breakers: list[CircuitBreaker[Any]] = []

    def join(self, breaker: "CircuitBreaker[Any]") -> None:
        """Add a breaker to the group."""
        self._breakers.append(breaker)

    def shorten(self) -> None:
        """Shorten the open time of every breaker if none is closed."""
        if not any(breaker.state == "closed" for breaker in self._breakers):
            for breaker in self._breakers:
                breaker.open_seconds = min(breaker.open_seconds, self._brief)


class CircuitBreaker(Generic[E]):
    """Admits or refuses calls to one system. `on_change` gets each new state and, if there is one, its error.

    `state` is closed, open or half-open.
    """

    def __init__(
        self,
        rules: BreakerRules[E],
        clock: Callable[[], float],
        on_change: Callable[[str, E | None], None] | None = None,
        group: BreakerGroup | None = None,
    ) -> None:
        self.state = "closed"
        self.open_seconds = rules.open_seconds
        self._rules = rules
        self._clock = clock
        self._on_change = on_change
        self._group = group or BreakerGroup()
        self._group.join(self)
        self._breaker = aiobreaker.CircuitBreaker(
            fail_max=rules.failures,
            timeout_duration=timedelta(0),  # `check` keeps the time
            state_storage=CircuitMemoryStorage(CircuitBreakerState.CLOSED),
        )
        self._generation = 0  # counts changes of state; the outcome of a call from an earlier generation is ignored
        self._opened_at = 0.0
        self._last_failure = ""  # of this or an earlier generation
        self._good_probes = 0
        self._probing = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Admit the call in the `with` block, and record its outcome. Raises the rules' refusal."""
        is_probe = self._admit()
        generation = self._generation
        try:
            yield
        except self._rules.errors as error:
            if generation == self._generation and self._rules.counts(error):
                self._record_failure(error)
            raise
        else:
            if generation == self._generation:
                self._record_success()
        finally:
            # Also after a cancellation. The probe of an earlier generation has no slot to release.
            if is_probe and generation == self._generation:
                self._probing = False

    def check(self) -> None:
        """Raise the refusal if a call would not be admitted now. Use it before waiting in a queue for the call."""
        if self.state == "open" and self._clock() < self._opened_at + self.open_seconds:
            raise self._rules.refusal("its breaker is open", self._last_failure)
        if self._probing:
            raise self._rules.refusal("its breaker is half-open, and a probe is under way", self._last_failure)

    def _admit(self) -> bool:
        """Return whether the admitted call is a probe. Raises the refusal."""
        if self.state == "closed":
            return False
        self.check()
        if self.state == "open":
            self._step(self._breaker.half_open, None)
        self._probing = True
        return True

    def _record_failure(self, error: E) -> None:
        self._last_failure = str(error)
        self._step(self._report_failure, error)

    def _report_failure(self) -> None:
        with suppress(_Failure, aiobreaker.CircuitBreakerError):  # the latter when the breaker opens
            self._breaker.call(_fail)

    def _record_success(self) -> None:
        if self.state == "closed" and self._breaker.fail_counter == 0:
            return  # nearly every call: there is no count to start again
        if self.state == "half-open":
            self._good_probes += 1
            if self._good_probes < self._rules.probes:
                return
        self._step(lambda: self._breaker.call(_succeed), None)

    def _step(self, step: Callable[[], object], error: E | None) -> None:
        """Run a step of aiobreaker's. If the step changes the state, start a new generation and report the change."""
        step()
        state = _STATES[self._breaker.current_state]
        if state == self.state:
            return
        self.state = state
        self._generation += 1
        self._good_probes = 0
        self._probing = False
        if state == "open":
            self._opened_at = self._clock()
            self.open_seconds = self._rules.open_seconds
            self._group.shorten()
        if self._on_change is not None:
            self._on_change(state, error)
