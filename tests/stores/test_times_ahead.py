"""Prices made while a clock was wrong, an hour ahead of it: they hide no other, in any store."""

import time

from aggregator.errors import StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE
from aggregator.ports import History
from aggregator.stores.circuit_breaking_cache import CircuitBreakingCache
from aggregator.stores.redis.cache import RedisCache
from tests.parts.clock import Clock
from tests.parts.examples import NOW, price
from tests.stores.conftest import REAL

HOUR = 3600


async def test_the_latest_in_history_is_not_of_the_future(history: History) -> None:
    """The newest up to what a clock may be ahead; all of them are in its pages."""
    now = time.time()
    ahead, allowed, before = (price(timestamp=now + seconds) for seconds in (HOUR, FUTURE_TOLERANCE - 2, -HOUR))
    await history.write([ahead, before])
    assert await history.latest(["btcusdt"]) == {"btcusdt": before}
    await history.write([allowed])
    assert await history.latest(["btcusdt"]) == {"btcusdt": allowed}
    assert await history.between("btcusdt", 0, now + 2 * HOUR, 9, newest_first=True) == [ahead, allowed, before]


async def test_there_is_no_latest_where_all_are_of_the_future(history: History) -> None:
    """Left out, as where there is none at all."""
    await history.write([price(timestamp=time.time() + HOUR)])
    assert await history.latest(["btcusdt"]) == {}


@REAL
async def test_redis_replaces_a_price_of_the_future(redis_cache: RedisCache) -> None:
    """By one of now; an older one than a price that a clock may have made still replaces nothing."""
    now = time.time()
    for timestamp in (now + HOUR, now, now + 3, now + 2):
        await redis_cache.write([price(timestamp=timestamp)])
    assert (await redis_cache.latest(["btcusdt"]))["btcusdt"].timestamp == now + 3


class Away:
    """A cache that fails until told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.written: list[float] = []

    async def latest(self, symbols: object) -> dict[str, object]:
        """Nothing."""
        raise NotImplementedError(symbols)

    async def write(self, prices: list[object]) -> None:
        """Keep their times."""
        if self.away:
            raise StoreUnavailable("away")
        self.written += [one.timestamp for one in prices]  # type: ignore[attr-defined]


async def test_prices_of_the_future_are_not_kept_for_a_cache_that_missed_them() -> None:
    """A price of now takes its place among those that wait for the cache to come back."""
    away, clock = Away(), Clock()
    cache = CircuitBreakingCache(away, clock, now=lambda: NOW)  # type: ignore[arg-type]
    for timestamp in (NOW + HOUR, NOW, NOW - 1):
        try:
            await cache.write([price(timestamp=timestamp)])
        except StoreUnavailable:
            clock.now += 2
    away.away = False
    await cache.write([])
    assert away.written == [NOW]
