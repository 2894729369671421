"""The guard's table of states: what opens it, what it lets through then, and what closes it."""

import asyncio

import pytest

from aggregator.errors import BreakerOpen, ExchangeTimeout, NotListed, RateLimited
from aggregator.exchanges.breaker import BreakerGroup, CircuitBreaker
from tests.exchanges.breaker.calls import begin, fail, failing_with, good
from tests.parts.clock import Clock


async def test_five_failures_open_it(guard: CircuitBreaker, changes: list[str]) -> None:
    """Four do not; after the fifth nobody gets through, and the caller of the fifth sees his own error."""
    await fail(guard, 4)
    assert guard.state == "closed"
    await fail(guard, 1)
    assert guard.state == "open"
    assert changes == ["open"]
    with pytest.raises(BreakerOpen):
        await guard.call(good)


async def test_only_consecutive_failures_count(guard: CircuitBreaker) -> None:
    """A success in between starts the count again."""
    await fail(guard, 4)
    assert await guard.call(good) == "ticker"
    await fail(guard, 4)
    assert guard.state == "closed"


async def test_after_thirty_seconds_two_good_probes_close_it(
    guard: CircuitBreaker, clock: Clock, changes: list[str]
) -> None:
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


async def test_a_bad_probe_opens_it_for_another_thirty_seconds(guard: CircuitBreaker, clock: Clock) -> None:
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
    rest = BreakerGroup(brief=2.5)
    first, second = (CircuitBreaker(clock, lambda _state, _error: None, rest) for _ in range(2))
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
async def test_what_is_no_fault_of_the_exchange_never_counts(
    guard: CircuitBreaker, clock: Clock, error: Exception
) -> None:
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


async def test_three_callers_at_once_do_not_keep_it_open_for_ever(guard: CircuitBreaker, clock: Clock) -> None:
    """Where the Go system's breaker reopened with three callers in half-open, this one closes."""
    await fail(guard, 5)
    clock.now += 30
    for _ in range(2):
        await asyncio.gather(*(guard.call(good) for _ in range(3)), return_exceptions=True)
    assert guard.state == "closed"


async def test_a_failure_in_flight_does_not_count_after_it_closed(guard: CircuitBreaker, clock: Clock) -> None:
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


async def test_cancellation_never_counts_and_frees_the_probe(guard: CircuitBreaker, clock: Clock) -> None:
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


async def test_an_error_nobody_planned_passes_through_uncounted(guard: CircuitBreaker) -> None:
    """A bug of ours is not the exchange's fault."""
    for _ in range(6):
        with pytest.raises(ZeroDivisionError):
            await guard.call(failing_with(ZeroDivisionError()))
    assert guard.state == "closed"


async def test_check_tells_before_the_queue(guard: CircuitBreaker, clock: Clock) -> None:
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
