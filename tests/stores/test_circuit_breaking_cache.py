"""A cache behind a circuit breaker: when it is called, and what happens to prices that could not be written."""

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
def behind() -> Slow:
    """Return the wrapped cache."""
    return Slow()


@pytest.fixture
def cache(behind: Slow, clock: Clock) -> CircuitBreakingCache:
    """Return the wrapped cache behind breakers."""
    return CircuitBreakingCache(behind, clock)


async def fail(cache: CircuitBreakingCache) -> None:
    """Read, and expect StoreUnavailable."""
    with pytest.raises(StoreUnavailable):
        await cache.latest(["btcusdt"])


async def test_after_a_failure_the_cache_is_not_called_for_a_second(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """Then one probe is admitted. If it fails, the breaker stays open for another second; if it succeeds, it closes."""
    await cache.write([price()])
    behind.away = True
    for _ in range(2):
        for _ in range(100):
            await fail(cache)
        clock.now += OPEN_SECONDS
    assert behind.reads == 2
    behind.away = False
    for _ in range(100):
        assert await cache.latest(["btcusdt"]) == {"btcusdt": price()}
    assert behind.reads == 102


async def test_one_probe_at_a_time(cache: CircuitBreakingCache, behind: Slow, clock: Clock) -> None:
    """However long the probe hangs, other calls are refused; after a cancelled probe, the next call is the probe."""
    behind.away = True
    await fail(cache)
    clock.now += OPEN_SECONDS
    behind.let_go.clear()
    for cancelled in (True, False):
        probe = asyncio.create_task(cache.latest(["btcusdt"]))
        await asyncio.sleep(0)
        entered = behind.entered
        for _ in range(100):
            await fail(cache)
        assert behind.entered == entered
        if cancelled:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
    behind.away = False
    behind.let_go.set()
    assert await probe == {}
    assert await cache.latest(["btcusdt"]) == {}


async def test_stragglers_change_nothing(cache: CircuitBreakingCache, behind: Slow, clock: Clock) -> None:
    """Calls that were under way when the breaker opened neither close it nor, after it has closed, open it again."""
    behind.let_go.clear()
    stragglers = [asyncio.create_task(cache.latest(["btcusdt"])) for _ in range(50)]
    await asyncio.sleep(0)
    assert behind.entered == 50
    behind.away = True
    behind.let_go.set()
    assert all(isinstance(one, StoreUnavailable) for one in await asyncio.gather(*stragglers, return_exceptions=True))
    clock.now += OPEN_SECONDS
    behind.away = False
    assert await cache.latest(["btcusdt"]) == {}


async def test_reads_and_writes_have_a_breaker_each(cache: CircuitBreakingCache, behind: Slow) -> None:
    """A cache that only refuses writes is still read."""
    await cache.write([price()])
    behind.away = True
    with pytest.raises(StoreUnavailable):
        await cache.write([price()])
    behind.away = False
    with pytest.raises(StoreUnavailable, match="away"):
        await cache.write([price()])  # the breaker is open
    assert await cache.latest(["btcusdt"]) == {"btcusdt": price()}


async def test_missed_prices_are_written_with_later_ones(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """The newest price of each asset, once, so that the cache does not return an older price than history did."""
    await cache.write([price(timestamp=1)])
    behind.away = True
    for timestamp in (2, 4, 3):
        with pytest.raises(StoreUnavailable):
            await cache.write([price(timestamp=timestamp), price("ethusdt", timestamp)])
    behind.away = False
    clock.now += OPEN_SECONDS
    await cache.write([price("solusdt")])
    assert behind.written == [price(timestamp=1), price(timestamp=4), price("ethusdt", 4), price("solusdt")]
    await cache.write([price("xrpusdt")])
    assert behind.written[-1] == price("xrpusdt")
    assert len(behind.written) == 5


async def test_many_missed_prices_are_written_in_several_writes(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """No write grows so large that it would time out."""
    behind.away = True
    with pytest.raises(StoreUnavailable):
        await cache.write([price(f"asset{number}") for number in range(2500)])
    behind.away = False
    clock.now += OPEN_SECONDS
    lengths = []
    for _ in range(4):
        before = len(behind.written)
        await cache.write([price()])
        lengths.append(len(behind.written) - before)
    assert lengths == [1001, 1001, 501, 1]
