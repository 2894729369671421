"""The state table of the circuit breaker: what opens it, which calls it admits then, and what closes it."""

import asyncio

import pytest

from aggregator.errors import BreakerOpen, ExchangeError, ExchangeTimeout, NotListed, RateLimited
from aggregator.exchanges.guarded_exchange import BREAKER_RULES
from aggregator.resilience.circuit_breaker import BreakerGroup, CircuitBreaker
from tests.parts.clock import Clock
from tests.resilience.circuit_breaker.calls import begin, call, fail, failing_with, good


async def test_five_failures_open_it(breaker: CircuitBreaker[ExchangeError], changes: list[str]) -> None:
    """Four do not. After the fifth, calls are refused, and the fifth call raises its own error."""
    await fail(breaker, 4)
    assert breaker.state == "closed"
    await fail(breaker, 1)
    assert breaker.state == "open"
    assert changes == ["open"]
    with pytest.raises(BreakerOpen):
        await call(breaker, good)


async def test_only_consecutive_failures_count(breaker: CircuitBreaker[ExchangeError]) -> None:
    """A success in between starts the count again."""
    await fail(breaker, 4)
    assert await call(breaker, good) == "ticker"
    await fail(breaker, 4)
    assert breaker.state == "closed"


async def test_after_thirty_seconds_two_good_probes_close_it(
    breaker: CircuitBreaker[ExchangeError], clock: Clock, changes: list[str]
) -> None:
    """Not before; one alone is not enough."""
    await fail(breaker, 5)
    clock.now += 29.999
    with pytest.raises(BreakerOpen):
        await call(breaker, good)
    clock.now += 0.001
    await call(breaker, good)
    assert breaker.state == "half-open"
    await call(breaker, good)
    assert breaker.state == "closed"
    assert changes == ["open", "half-open", "closed"]


async def test_a_bad_probe_opens_it_for_another_thirty_seconds(
    breaker: CircuitBreaker[ExchangeError], clock: Clock
) -> None:
    """Even after a good probe."""
    await fail(breaker, 5)
    clock.now += 30
    await call(breaker, good)
    await fail(breaker, 1)
    assert breaker.state == "open"
    clock.now += 29
    with pytest.raises(BreakerOpen):
        await call(breaker, good)
    clock.now += 1
    await call(breaker, good)
    await call(breaker, good)
    assert breaker.state == "closed"


async def test_while_all_are_open_they_stay_open_briefly(clock: Clock) -> None:
    """The breakers that opened first, too. One that opens while another is closed stays open for 30 seconds."""
    group = BreakerGroup(brief=2.5)
    first, second = (CircuitBreaker(BREAKER_RULES, clock, group=group) for _ in range(2))
    await fail(first, 5)
    clock.now += 3
    with pytest.raises(BreakerOpen):
        await call(first, good)
    await fail(second, 5)
    await fail(first, 1)  # at once: it has been open for longer than that
    clock.now += 2.4
    for one in (first, second):
        with pytest.raises(BreakerOpen):
            await call(one, good)
    clock.now += 0.1
    await call(first, good)
    await call(first, good)
    assert first.state == "closed"
    await fail(second, 1)
    clock.now += 29
    with pytest.raises(BreakerOpen):
        await call(second, good)
    clock.now += 1
    await call(second, good)


@pytest.mark.parametrize("error", [NotListed("404"), RateLimited("429")])
async def test_what_is_no_fault_of_the_exchange_never_counts(
    breaker: CircuitBreaker[ExchangeError], clock: Clock, error: Exception
) -> None:
    """An unknown symbol or a rate limit neither opens it nor, as a probe, closes it."""
    for _ in range(20):
        with pytest.raises(type(error)):
            await call(breaker, failing_with(error))
    assert breaker.state == "closed"
    await fail(breaker, 5)
    clock.now += 30
    for _ in range(3):
        with pytest.raises(type(error)):
            await call(breaker, failing_with(error))
    assert breaker.state == "half-open"


async def test_three_callers_at_once_do_not_keep_it_open_for_ever(
    breaker: CircuitBreaker[ExchangeError], clock: Clock
) -> None:
    """Where the Go system's breaker reopened with three callers in half-open, this one closes."""
    await fail(breaker, 5)
    clock.now += 30
    for _ in range(2):
        await asyncio.gather(*(call(breaker, good) for _ in range(3)), return_exceptions=True)
    assert breaker.state == "closed"


async def test_a_failure_in_flight_does_not_count_after_it_closed(
    breaker: CircuitBreaker[ExchangeError], clock: Clock
) -> None:
    """The outcome of a call from before the outage is ignored."""
    stragglers = [await begin(breaker) for _ in range(5)]
    await fail(breaker, 5)
    clock.now += 30
    await call(breaker, good)
    await call(breaker, good)
    for gate, task in stragglers:
        gate.fail()
        with pytest.raises(ExchangeTimeout):
            await task
    assert breaker.state == "closed"


async def test_cancellation_never_counts_and_frees_the_probe(
    breaker: CircuitBreaker[ExchangeError], clock: Clock
) -> None:
    """A cancelled call is no outcome, and the next call may probe at once."""
    for _ in range(10):
        _, task = await begin(breaker)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert breaker.state == "closed"
    await fail(breaker, 5)
    clock.now += 30
    _, probe = await begin(breaker)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await call(breaker, good) == "ticker"


async def test_an_error_nobody_planned_passes_through_uncounted(breaker: CircuitBreaker[ExchangeError]) -> None:
    """A bug of ours is not a failure of the exchange."""
    for _ in range(6):
        with pytest.raises(ZeroDivisionError):
            await call(breaker, failing_with(ZeroDivisionError()))
    assert breaker.state == "closed"


async def test_check_before_the_queue(breaker: CircuitBreaker[ExchangeError], clock: Clock) -> None:
    """`check` refuses when `call` would refuse, and does not use up the probe."""
    breaker.check()
    await fail(breaker, 5)
    with pytest.raises(BreakerOpen):
        breaker.check()
    clock.now += 30
    breaker.check()
    breaker.check()
    assert breaker.state == "open"
    _, probe = await begin(breaker)
    with pytest.raises(BreakerOpen):
        breaker.check()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
