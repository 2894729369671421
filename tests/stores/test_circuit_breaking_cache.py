"""A cache wrapped a circuit breaker: when it is called, and what happens to prices that could not be written."""

import asyncio
from collections.abc import Sequence

import pytest

from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.stores.circuit_breaking_cache import OPEN_SECONDS, CircuitBreakingCache
from tests.parts.clock import Clock
from tests.parts.examples import price
from tests.parts.scripted import Store


class Slow(Store):
    """A store that can hang until released."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.entered = 0

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Answer when released."""
        self.entered += 1
        await self.let_go.wait()
        return await super().latest(symbols)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test sets."""
    return Clock()


@pytest.fixture
def wrapped() -> Slow:
    """Return the wrapped cache."""
    return Slow()


@pytest.fixture
def cache(wrapped: Slow, clock: Clock) -> CircuitBreakingCache:
    """Return the wrapped cache wrapped breakers."""
    return CircuitBreakingCache(wrapped, clock)


async def fail(cache: CircuitBreakingCache) -> None:
    """Read, and expect StoreUnavailable."""
    with pytest.raises(StoreUnavailable):
        await cache.latest(["btcusdt"])


async def test_after_a_failure_the_cache_is_not_called_for_a_second(
    cache: CircuitBreakingCache, wrapped: Slow, clock: Clock
) -> None:
    """Then one probe is admitted. If it fails, the breaker stays open for another second; if it succeeds, it closes."""
    await cache.write([price()])
    wrapped.away = True
    for _ in range(2):
        for _ in range(100):
            await fail(cache)
        clock.now += OPEN_SECONDS
    assert wrapped.reads == 2
    wrapped.away = False
    for _ in range(100):
        assert await cache.latest(["btcusdt"]) == {"btcusdt": price()}
    assert wrapped.reads == 102


async def test_one_probe_at_a_time(cache: CircuitBreakingCache, wrapped: Slow, clock: Clock) -> None:
    """However long the probe hangs, other calls are refused; after a cancelled probe, the next call is the probe."""
    wrapped.away = True
    await fail(cache)
    clock.now += OPEN_SECONDS
    wrapped.let_go.clear()
    for cancelled in (True, False):
        probe = asyncio.create_task(cache.latest(["btcusdt"]))
        await asyncio.sleep(0)
        entered = wrapped.entered
        for _ in range(100):
            await fail(cache)
        assert wrapped.entered == entered
        if cancelled:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
    wrapped.away = False
    wrapped.let_go.set()
    assert await probe == {}
    assert await cache.latest(["btcusdt"]) == {}


async def test_stragglers_change_nothing(cache: CircuitBreakingCache, wrapped: Slow, clock: Clock) -> None:
    """Calls that were under way when the breaker opened neither close it nor, after it has closed, open it again."""
    wrapped.let_go.clear()
    stragglers = [asyncio.create_task(cache.latest(["btcusdt"])) for _ in range(50)]
    await asyncio.sleep(0)
    assert wrapped.entered == 50
    wrapped.away = True
    wrapped.let_go.set()
    assert all(isinstance(one, StoreUnavailable) for one in await asyncio.gather(*stragglers, return_exceptions=True))
    clock.now += OPEN_SECONDS
    wrapped.away = False
    assert await cache.latest(["btcusdt"]) == {}


async def test_reads_and_writes_have_a_breaker_each(cache: CircuitBreakingCache, wrapped: Slow) -> None:
    """A cache that only refuses writes is still read."""
    await cache.write([price()])
    wrapped.away = True
    with pytest.raises(StoreUnavailable):
        await cache.write([price()])
    wrapped.away = False
    with pytest.raises(StoreUnavailable, match="away"):
        await cache.write([price()])  # the breaker is open
    assert await cache.latest(["btcusdt"]) == {"btcusdt": price()}


async def test_missed_prices_are_written_with_later_ones(
    cache: CircuitBreakingCache, wrapped: Slow, clock: Clock
) -> None:
    """The newest price of each asset, once, so that the cache does not return an older price than history did."""
    await cache.write([price(timestamp=1)])
    wrapped.away = True
    for timestamp in (2, 4, 3):
        with pytest.raises(StoreUnavailable):
            await cache.write([price(timestamp=timestamp), price("ethusdt", timestamp)])
    wrapped.away = False
    clock.now += OPEN_SECONDS
    await cache.write([price("solusdt")])
    assert wrapped.written == [price(timestamp=1), price(timestamp=4), price("ethusdt", 4), price("solusdt")]
    await cache.write([price("xrpusdt")])
    assert wrapped.written[-1] == price("xrpusdt")
    assert len(wrapped.written) == 5


async def test_many_missed_prices_are_written_in_several_writes(
    cache: CircuitBreakingCache, wrapped: Slow, clock: Clock
) -> None:
    """No write grows so large that it would time out."""
    wrapped.away = True
    with pytest.raises(StoreUnavailable):
        await cache.write([price(f"asset{number}") for number in range(2500)])
    wrapped.away = False
    clock.now += OPEN_SECONDS
    lengths = []
    for _ in range(4):
        before = len(wrapped.written)
        await cache.write([price()])
        lengths.append(len(wrapped.written) - before)
    assert lengths == [1001, 1001, 501, 1]
