"""Faults of aiobreaker 1.2.0 that our circuit breaker does not have.

Each test named `..._kept_away` first shows the fault in bare aiobreaker.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import aiobreaker
import msgspec
import pytest
from aiobreaker.state import CircuitBreakerState
from aiobreaker.storage.memory import CircuitMemoryStorage

from aggregator.errors import BreakerOpen, ExchangeError, ExchangeHttpError, ExchangeTimeout, NotListed
from aggregator.exchanges.guarded_exchange import BREAKER_RULES
from aggregator.resilience.circuit_breaker import CircuitBreaker
from tests.parts.clock import Clock
from tests.parts.process import ROOT
from tests.resilience.circuit_breaker.calls import Gate, bad, begin, call, fail, failing_with, good


async def test_one_probe_at_a_time_kept_away(breaker: CircuitBreaker[ExchangeError], clock: Clock) -> None:
    """Bare, half-open lets all of 100 callers through; here, one."""
    bare = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(0))
    bare.half_open()
    gates = [Gate() for _ in range(100)]
    tasks = [asyncio.create_task(bare.call_async(gate)) for gate in gates]
    await asyncio.gather(*(gate.entered.wait() for gate in gates))  # all of them
    for gate in gates:
        gate.succeed()
    await asyncio.gather(*tasks)

    await fail(breaker, 5)
    clock.now += 30
    gate, probe = await begin(breaker)
    outcomes = await asyncio.gather(*(call(breaker, good) for _ in range(99)), return_exceptions=True)
    assert all(isinstance(outcome, BreakerOpen) for outcome in outcomes)
    gate.succeed()
    assert await probe == "late success"
    assert breaker.state == "half-open"


async def test_a_late_success_does_not_close_it_kept_away(breaker: CircuitBreaker[ExchangeError], clock: Clock) -> None:
    """Bare, a success of a call from before closes a breaker that has just reopened; here, it changes nothing."""
    bare = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(hours=1))
    bare.half_open()
    gate = Gate()
    task = asyncio.create_task(bare.call_async(gate))
    await gate.entered.wait()
    bare.open()
    gate.succeed()
    await task
    assert bare.current_state is CircuitBreakerState.CLOSED

    gate, early = await begin(breaker)
    await fail(breaker, 5)
    gate.succeed()
    await early
    assert breaker.state == "open"
    clock.now += 30
    gate, probe = await begin(breaker)
    gate.fail()
    with pytest.raises(ExchangeTimeout):
        await probe
    assert breaker.state == "open"


async def test_failures_in_flight_do_not_prolong_it_kept_away(
    breaker: CircuitBreaker[ExchangeError], clock: Clock
) -> None:
    """Bare, calls under way when it opened open it anew as they fail; here, the thirty seconds stay thirty."""
    bare = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(hours=1))
    gates = [Gate(), Gate()]
    tasks = [asyncio.create_task(bare.call_async(gate)) for gate in gates]
    await asyncio.gather(*(gate.entered.wait() for gate in gates))
    stamps = []
    for gate, task in zip(gates, tasks, strict=True):
        gate.fail()
        with pytest.raises(aiobreaker.CircuitBreakerError):
            await task
        stamps.append(bare._state_storage.opened_at)
    assert stamps[1] > stamps[0]

    gate, early = await begin(breaker)
    await fail(breaker, 5)
    clock.now += 20
    gate.fail()
    with pytest.raises(ExchangeTimeout):
        await early
    clock.now += 10
    assert await call(breaker, good) == "ticker"


async def test_a_timeout_counts_where_the_timeout_is_inside(breaker: CircuitBreaker[ExchangeError]) -> None:
    """Bare, one put around it is not counted; here the call turns its own into an ExchangeTimeout, which is."""
    bare = aiobreaker.CircuitBreaker(fail_max=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await bare.call_async(Gate())
    assert (bare.current_state, bare.fail_counter) == (CircuitBreakerState.CLOSED, 0)
    for _ in range(5):
        with pytest.raises(ExchangeTimeout):
            await call(breaker, failing_with(ExchangeTimeout("2 s")))
    assert breaker.state == "open"


async def test_an_excluded_error_closes_it_kept_away(breaker: CircuitBreaker[ExchangeError], clock: Clock) -> None:
    """Bare, an excluded exception in half-open counts as a success; here it never reaches aiobreaker."""
    bare = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(0), exclude=[NotListed])
    bare.half_open()
    with pytest.raises(NotListed):
        await bare.call_async(failing_with(NotListed("404")))
    assert bare.current_state is CircuitBreakerState.CLOSED

    await fail(breaker, 5)
    clock.now += 30
    with pytest.raises(NotListed):
        await call(breaker, failing_with(NotListed("404")))
    assert breaker.state == "half-open"


async def test_the_call_that_trips_it_keeps_its_own_error_kept_away(breaker: CircuitBreaker[ExchangeError]) -> None:
    """Bare, the fifth failure comes out as a CircuitBreakerError with the original as its cause."""
    bare = aiobreaker.CircuitBreaker(fail_max=1)
    with pytest.raises(aiobreaker.CircuitBreakerError) as raised:
        await bare.call_async(bad)
    assert isinstance(raised.value.__cause__, ExchangeHttpError)
    await fail(breaker, 5)  # five times the caller's own


async def test_a_listener_that_raises_does_not_stop_it_from_opening_kept_away(clock: Clock) -> None:
    """Bare, it never trips; ours hears of a change after it has taken effect."""

    class Raising(aiobreaker.CircuitBreakerListener):  # type: ignore[misc]  # aiobreaker has no types
        def failure(self, *_: object) -> None:
            raise RuntimeError("listener")

    bare = aiobreaker.CircuitBreaker(fail_max=1, listeners=[Raising()])
    with pytest.raises(RuntimeError):
        await bare.call_async(bad)
    assert bare.current_state is CircuitBreakerState.CLOSED

    def raising(state: str, error: ExchangeError | None) -> None:
        raise RuntimeError(state, error)

    breaker = CircuitBreaker(msgspec.structs.replace(BREAKER_RULES, failures=1), clock, raising)
    with pytest.raises(RuntimeError):
        await call(breaker, bad)
    assert breaker.state == "open"


@pytest.fixture(params=["Europe/Berlin", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Be somewhere else for one test."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


async def test_local_time_means_nothing_kept_away(
    breaker: CircuitBreaker[ExchangeError], clock: Clock, zone: str
) -> None:
    """Bare, half a minute is a TypeError in Berlin and four hours or more in New York; here, it is half a minute."""
    bare = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=30))
    bare.open()
    if zone == "Europe/Berlin":
        with pytest.raises(TypeError):
            _ = bare.time_until_open
    else:
        assert bare.time_until_open > timedelta(hours=4)

    await fail(breaker, 5)
    clock.now += 29.9
    with pytest.raises(BreakerOpen):
        await call(breaker, good)
    clock.now += 0.1
    assert await call(breaker, good) == "ticker"


def test_its_counts_are_in_memory(breaker: CircuitBreaker[ExchangeError]) -> None:
    """Where nothing blocks the event loop, as aiobreaker's storage in Redis would."""
    assert type(breaker._breaker._state_storage) is CircuitMemoryStorage


@pytest.mark.real
@pytest.mark.parametrize(
    "zone",
    [*(pytest.param(one, marks=pytest.mark.long) for one in ("Europe/Berlin", "Asia/Kolkata")), "America/New_York"],
)
def test_it_keeps_its_times_in_any_time_zone(zone: str) -> None:
    """The same tests where local time is not UTC, and bare aiobreaker raises TypeError or waits for hours."""
    chosen = "thirty_seconds or prolong or trips or one_probe"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider", Path(__file__).parent],
        cwd=ROOT,
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    assert "5 passed" in run.stdout
