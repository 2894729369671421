"""The guard: its table of states, and each thing aiobreaker 1.2.0 gets wrong, kept away from it.

Time is handed in, so nothing here waits. The tests named `..._kept_away` first show the fault on bare aiobreaker.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import aiobreaker
import pytest
from aiobreaker.state import CircuitBreakerState
from aiobreaker.storage.memory import CircuitMemoryStorage

from aggregator.errors import BreakerOpen, ExchangeError, ExchangeHttpError, ExchangeTimeout, NotListed, RateLimited
from aggregator.exchanges.guard import Guard, Rest
from tests.parts.process import ROOT


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Gate:
    """A call under way, to be ended by hand."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        """Wait for the end."""
        self.entered.set()
        return await self._end

    def succeed(self) -> None:
        """End well."""
        self._end.set_result("late success")

    def fail(self) -> None:
        """End badly."""
        self._end.set_exception(ExchangeTimeout("late failure"))


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def changes() -> list[str]:
    """Return a list that hears of every change of state."""
    return []


@pytest.fixture
def guard(clock: Clock, changes: list[str]) -> Guard:
    """Return a guard as it is by itself: five failures, thirty seconds, two probes."""
    return Guard(clock, lambda state, _: changes.append(state))


async def good() -> str:
    """Succeed."""
    return "ticker"


async def bad() -> str:
    """Fail in a way that speaks against the exchange."""
    raise ExchangeHttpError("HTTP 500")


def failing_with(error: Exception) -> Callable[[], Awaitable[str]]:
    """Return a call that fails so."""

    async def call() -> str:
        raise error

    return call


async def fail(guard: Guard, times: int) -> None:
    """Fail so often."""
    for _ in range(times):
        with pytest.raises(ExchangeHttpError):
            await guard.call(bad)


async def begin(guard: Guard) -> tuple[Gate, asyncio.Task[str]]:
    """Start a call and leave it under way."""
    gate = Gate()
    task = asyncio.create_task(guard.call(gate))
    await gate.entered.wait()
    return gate, task


async def test_five_failures_open_it(guard: Guard, changes: list[str]) -> None:
    """Four do not; after the fifth nobody gets through, and the caller of the fifth sees his own error."""
    await fail(guard, 4)
    assert guard.state == "closed"
    await fail(guard, 1)
    assert guard.state == "open"
    assert changes == ["open"]
    with pytest.raises(BreakerOpen):
        await guard.call(good)


async def test_only_consecutive_failures_count(guard: Guard) -> None:
    """A success in between starts the count again."""
    await fail(guard, 4)
    assert await guard.call(good) == "ticker"
    await fail(guard, 4)
    assert guard.state == "closed"


async def test_after_thirty_seconds_two_good_probes_close_it(guard: Guard, clock: Clock, changes: list[str]) -> None:
    """Not before; one alone is not enough."""
    await fail(guard, 5)
    clock.now += 29.999
    with pytest.raises(BreakerOpen):
        await guard.call(good)
    clock.now += 0.001
    await guard.call(good)
    assert guard.state == "half-open"
    await guard.call(good)
    assert guard.state == "closed"
    assert changes == ["open", "half-open", "closed"]


async def test_a_bad_probe_opens_it_for_another_thirty_seconds(guard: Guard, clock: Clock) -> None:
    """Even after a good one."""
    await fail(guard, 5)
    clock.now += 30
    await guard.call(good)
    await fail(guard, 1)
    assert guard.state == "open"
    clock.now += 29
    with pytest.raises(BreakerOpen):
        await guard.call(good)
    clock.now += 1
    await guard.call(good)
    await guard.call(good)
    assert guard.state == "closed"


async def test_while_all_are_open_they_rest_briefly(clock: Clock) -> None:
    """Also those that opened first; who then fails beside one that is closed again rests as long as ever."""
    rest = Rest(brief=2.5)
    first, second = (Guard(clock, lambda _state, _error: None, rest) for _ in range(2))
    await fail(first, 5)
    clock.now += 3
    with pytest.raises(BreakerOpen):
        await first.call(good)
    await fail(second, 5)
    await fail(first, 1)  # at once: it has been resting for longer than that
    clock.now += 2.4
    for guard in (first, second):
        with pytest.raises(BreakerOpen):
            await guard.call(good)
    clock.now += 0.1
    await first.call(good)
    await first.call(good)
    assert first.state == "closed"
    await fail(second, 1)
    clock.now += 29
    with pytest.raises(BreakerOpen):
        await second.call(good)
    clock.now += 1
    await second.call(good)


@pytest.mark.parametrize("error", [NotListed("404"), RateLimited("429")])
async def test_what_is_no_fault_of_the_exchange_never_counts(guard: Guard, clock: Clock, error: Exception) -> None:
    """An unknown symbol or our own haste neither opens it nor, as a probe, closes it."""
    for _ in range(20):
        with pytest.raises(type(error)):
            await guard.call(failing_with(error))
    assert guard.state == "closed"
    await fail(guard, 5)
    clock.now += 30
    for _ in range(3):
        with pytest.raises(type(error)):
            await guard.call(failing_with(error))
    assert guard.state == "half-open"


async def test_one_probe_at_a_time_kept_away(guard: Guard, clock: Clock) -> None:
    """Bare, half-open lets all of 100 callers through; guarded, one."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(0))
    breaker.half_open()
    gates = [Gate() for _ in range(100)]
    tasks = [asyncio.create_task(breaker.call_async(gate)) for gate in gates]
    await asyncio.gather(*(gate.entered.wait() for gate in gates))  # all of them
    for gate in gates:
        gate.succeed()
    await asyncio.gather(*tasks)

    await fail(guard, 5)
    clock.now += 30
    gate, probe = await begin(guard)
    outcomes = await asyncio.gather(*(guard.call(good) for _ in range(99)), return_exceptions=True)
    assert all(isinstance(outcome, BreakerOpen) for outcome in outcomes)
    gate.succeed()
    assert await probe == "late success"
    assert guard.state == "half-open"


async def test_three_callers_at_once_do_not_keep_it_open_for_ever(guard: Guard, clock: Clock) -> None:
    """Where the Go system's breaker reopened with three callers in half-open, this one closes."""
    await fail(guard, 5)
    clock.now += 30
    for _ in range(2):
        await asyncio.gather(*(guard.call(good) for _ in range(3)), return_exceptions=True)
    assert guard.state == "closed"


async def test_a_late_success_does_not_close_it_kept_away(guard: Guard, clock: Clock) -> None:
    """Bare, a success of a call from before closes a breaker that has just reopened; guarded, it changes nothing."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(hours=1))
    breaker.half_open()
    gate = Gate()
    task = asyncio.create_task(breaker.call_async(gate))
    await gate.entered.wait()
    breaker.open()
    gate.succeed()
    await task
    assert breaker.current_state is CircuitBreakerState.CLOSED

    gate, early = await begin(guard)
    await fail(guard, 5)
    gate.succeed()
    await early
    assert guard.state == "open"
    clock.now += 30
    gate, probe = await begin(guard)
    gate.fail()
    with pytest.raises(ExchangeTimeout):
        await probe
    assert guard.state == "open"


async def test_failures_in_flight_do_not_prolong_it_kept_away(guard: Guard, clock: Clock) -> None:
    """Bare, calls under way when it opened open it anew as they fail; guarded, the thirty seconds stay thirty."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(hours=1))
    gates = [Gate(), Gate()]
    tasks = [asyncio.create_task(breaker.call_async(gate)) for gate in gates]
    await asyncio.gather(*(gate.entered.wait() for gate in gates))
    stamps = []
    for gate, task in zip(gates, tasks, strict=True):
        gate.fail()
        with pytest.raises(aiobreaker.CircuitBreakerError):
            await task
        stamps.append(breaker._state_storage.opened_at)
    assert stamps[1] > stamps[0]

    gate, early = await begin(guard)
    await fail(guard, 5)
    clock.now += 20
    gate.fail()
    with pytest.raises(ExchangeTimeout):
        await early
    clock.now += 10
    assert await guard.call(good) == "ticker"


async def test_a_failure_in_flight_does_not_count_after_it_closed(guard: Guard, clock: Clock) -> None:
    """Stragglers from before the outage are nobody's business any more."""
    stragglers = [await begin(guard) for _ in range(5)]
    await fail(guard, 5)
    clock.now += 30
    await guard.call(good)
    await guard.call(good)
    for gate, task in stragglers:
        gate.fail()
        with pytest.raises(ExchangeTimeout):
            await task
    assert guard.state == "closed"


async def test_a_timeout_counts_where_the_timeout_is_inside(guard: Guard) -> None:
    """Bare, one put around it is not counted; here the call turns its own into an ExchangeTimeout, which is."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await breaker.call_async(Gate())
    assert (breaker.current_state, breaker.fail_counter) == (CircuitBreakerState.CLOSED, 0)
    for _ in range(5):
        with pytest.raises(ExchangeTimeout):
            await guard.call(failing_with(ExchangeTimeout("2 s")))
    assert guard.state == "open"


async def test_cancellation_never_counts_and_frees_the_probe(guard: Guard, clock: Clock) -> None:
    """A caller who goes away says nothing about the exchange, and the next may probe at once."""
    for _ in range(10):
        _, task = await begin(guard)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert guard.state == "closed"
    await fail(guard, 5)
    clock.now += 30
    _, probe = await begin(guard)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await guard.call(good) == "ticker"


async def test_an_excluded_error_closes_it_kept_away(guard: Guard, clock: Clock) -> None:
    """Bare, an excluded exception in half-open counts as a success; ours never reach the breaker."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(0), exclude=[NotListed])
    breaker.half_open()
    with pytest.raises(NotListed):
        await breaker.call_async(failing_with(NotListed("404")))
    assert breaker.current_state is CircuitBreakerState.CLOSED

    await fail(guard, 5)
    clock.now += 30
    with pytest.raises(NotListed):
        await guard.call(failing_with(NotListed("404")))
    assert guard.state == "half-open"


async def test_the_call_that_trips_it_keeps_its_own_error_kept_away(guard: Guard) -> None:
    """Bare, the fifth failure comes out as a CircuitBreakerError with the original as its cause."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1)
    with pytest.raises(aiobreaker.CircuitBreakerError) as raised:
        await breaker.call_async(bad)
    assert isinstance(raised.value.__cause__, ExchangeHttpError)
    await fail(guard, 5)  # five times the caller's own


async def test_a_listener_that_raises_does_not_stop_it_from_opening_kept_away(clock: Clock) -> None:
    """Bare, it never trips; ours hears of a change after it has taken effect."""

    class Raising(aiobreaker.CircuitBreakerListener):  # type: ignore[misc]  # aiobreaker has no types
        def failure(self, *_: object) -> None:
            raise RuntimeError("listener")

    breaker = aiobreaker.CircuitBreaker(fail_max=1, listeners=[Raising()])
    with pytest.raises(RuntimeError):
        await breaker.call_async(bad)
    assert breaker.current_state is CircuitBreakerState.CLOSED

    def raising(state: str, error: ExchangeError | None) -> None:
        raise RuntimeError(state, error)

    guard = Guard(clock, raising, failures=1)
    with pytest.raises(RuntimeError):
        await guard.call(bad)
    assert guard.state == "open"


async def test_an_error_nobody_planned_passes_through_uncounted(guard: Guard) -> None:
    """A bug of ours is not the exchange's fault."""
    for _ in range(6):
        with pytest.raises(ZeroDivisionError):
            await guard.call(failing_with(ZeroDivisionError()))
    assert guard.state == "closed"


async def test_check_tells_before_the_queue(guard: Guard, clock: Clock) -> None:
    """It refuses what call would refuse and takes no probe's place."""
    guard.check()
    await fail(guard, 5)
    with pytest.raises(BreakerOpen):
        guard.check()
    clock.now += 30
    guard.check()
    guard.check()
    assert guard.state == "open"
    _, probe = await begin(guard)
    with pytest.raises(BreakerOpen):
        guard.check()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


@pytest.fixture(params=["Europe/Berlin", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Be somewhere else for one test."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


async def test_local_time_means_nothing_kept_away(guard: Guard, clock: Clock, zone: str) -> None:
    """Bare, half a minute is a TypeError in Berlin and four hours or more in New York; guarded, it is half a minute."""
    breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=30))
    breaker.open()
    if zone == "Europe/Berlin":
        with pytest.raises(TypeError):
            _ = breaker.time_until_open
    else:
        assert breaker.time_until_open > timedelta(hours=4)

    await fail(guard, 5)
    clock.now += 29.9
    with pytest.raises(BreakerOpen):
        await guard.call(good)
    clock.now += 0.1
    assert await guard.call(good) == "ticker"


def test_its_counts_are_in_memory(guard: Guard) -> None:
    """Where nothing blocks the event loop, as aiobreaker's storage in Redis would."""
    assert type(guard._breaker._state_storage) is CircuitMemoryStorage


@pytest.mark.real
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_it_keeps_its_times_in_any_time_zone(zone: str) -> None:
    """The same tests where local time is not UTC, and bare aiobreaker raises TypeError or waits for hours."""
    chosen = "thirty_seconds or prolong or trips or one_probe"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider", __file__],
        cwd=ROOT,
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout
    assert "5 passed" in run.stdout
