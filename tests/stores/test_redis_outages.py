"""The read path of a process with Redis while Redis hangs, is killed, is emptied, or refuses writes."""

import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import ResponseError

from aggregator.cluster.topic_feed import RedisFeed
from aggregator.errors import StoreUnavailable
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Asset, NoPrice, Price, Tier
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from aggregator.stores.circuit_breaking_cache import OPEN_SECONDS, CircuitBreakingCache
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.two_level_cache import TwoLevelCache
from tests.parts.clock import Clock
from tests.parts.examples import BTC, CATALOG, ETH, price
from tests.parts.limits import allowed
from tests.parts.redis_server import RedisServer
from tests.parts.scripted import Store
from tests.parts.sharing import running, until
from tests.stores.conftest import TTL


class Counting(RedisCache):
    """The Redis cache, counting the calls that reach it."""

    reached = 0

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Count and read."""
        self.reached += 1
        return await super().latest(symbols)

    async def write(self, prices: Sequence[Price]) -> None:
        """Count and write."""
        self.reached += 1
        await super().write(prices)


class UnusedRefresher:
    """A refresher that is never needed."""

    async def refresh(self, asset: Asset, trigger: str) -> Price | NoPrice:
        """Fail the test."""
        raise AssertionError((asset, trigger))


class Parts:
    """The read path of a process with Redis, with a history in memory."""

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self.client = RedisClient(server.url, timeout=0.5)
        self.bus, self.history, self.clock = Bus([PRICES]), Store(), clock
        self.redis = Counting(self.client, TTL)
        self.local = TwoLevelCache(CircuitBreakingCache(self.redis, clock), NewestPrices(TTL))
        self.bus.listen(PRICES, self.local)
        metrics = Metrics(CollectorRegistry())
        self.lookup = Lookup(CATALOG, self.local, self.history, UnusedRefresher(), metrics, AccessCounts(metrics))

    async def refreshed(self, *prices: Price) -> bool:
        """Write to history and cache, as the refresher does; return whether the cache took the prices."""
        await self.history.write(prices)
        try:
            await self.local.write(prices)
        except StoreUnavailable:
            return False
        return True

    async def is_written(self, *prices: Price) -> bool:
        """Write a second later; return whether the cache took the prices."""
        self.clock.now += OPEN_SECONDS
        return await self.refreshed(*prices)


@asynccontextmanager
async def parts_on(server: RedisServer) -> AsyncIterator[Parts]:
    """Open the parts, with the bus connected."""
    parts = Parts(server, Clock())
    async with running(RedisFeed(parts.client, parts.bus).run):
        await until(lambda: parts.bus.connected)
        yield parts
    await parts.client.close()


@pytest.mark.real
@pytest.mark.parametrize("how", ["hanging", "killed"])
async def test_redis_away_and_back(redis_alone: RedisServer, how: str) -> None:
    """Without Redis, reads come from history, and one in a second is slow; afterwards from the local cache and Redis.

    After the newer price, no read returns the older one, though the local cache had it before and Redis had it after.
    """
    start = time.time()
    old, new, cold = price(timestamp=start), price(timestamp=start + 1), price("ethusdt", start, tier=Tier.COLD)
    server = redis_alone
    async with parts_on(server) as parts:
        assert await parts.refreshed(old, cold)
        await until(lambda: parts.local.peek("btcusdt") == old)
        server.process.signal(signal.SIGSTOP if how == "hanging" else signal.SIGKILL)
        assert not await parts.refreshed(new)
        assert parts.local.peek("btcusdt") is None  # at once, though the feed may not have noticed the outage yet
        for _ in range(2):
            reached, started = parts.redis.reached, time.monotonic()
            answers = [await parts.lookup.get(asset) for asset in (BTC, *[BTC, ETH] * 100)]
            assert time.monotonic() - started < allowed(2)
            assert parts.redis.reached - reached <= 2  # a read, and a write of the price from history
            assert {answer.asset: answer for answer in answers} == {"btcusdt": new, "ethusdt": cold}
            assert set(map(type, answers)) == {Price}
            parts.clock.now += OPEN_SECONDS
        await until(lambda: not parts.bus.connected)
        assert parts.local.peek("ethusdt") is None
        if how == "hanging":
            server.process.signal(signal.SIGCONT)
        else:
            server.process.ended()
            server = RedisServer(server.port)
        await until(lambda: parts.bus.connected)
        other = price("solusdt", start)
        await until(lambda: parts.is_written(other))
        await until(lambda: parts.local.peek("solusdt") == other)
        assert (await parts.redis.latest(["btcusdt"]))["btcusdt"] == new  # the missed price was written with it
        reads = parts.history.reads
        parts.clock.now += OPEN_SECONDS
        for _ in range(10):
            assert await parts.lookup.get(BTC) == new
        assert parts.history.reads == reads
        newer = price(timestamp=start + 2)
        assert await parts.refreshed(newer)
        await until(lambda: parts.local.peek("btcusdt") == newer)
    server.process.stop(signal.SIGKILL)


@pytest.mark.real
async def test_redis_emptied(redis_alone: RedisServer) -> None:
    """A process with the price in its local cache uses that, others read history once; writes go on."""
    start = time.time()
    async with parts_on(redis_alone) as parts:
        assert await parts.refreshed(price(timestamp=start))
        await until(lambda: parts.local.peek("btcusdt") is not None)
        await parts.client.redis.flushall()
        await parts.client.redis.script_flush()
        assert await parts.lookup.get(BTC) == price(timestamp=start)
        parts.local.disconnected()
        for _ in range(5):
            assert await parts.lookup.get(BTC) == price(timestamp=start)
        assert parts.history.reads == 1
        assert await parts.refreshed(price(timestamp=start + 1))
        assert await parts.lookup.get(BTC) == price(timestamp=start + 1)


@pytest.mark.real
async def test_a_redis_that_takes_no_writes_is_still_read(redis_alone: RedisServer) -> None:
    """Redis is read-only, like a replica. Prices that it has not taken come from history, not its older ones."""
    start = time.time()
    async with parts_on(redis_alone) as parts:
        assert await parts.refreshed(price(timestamp=start))
        parts.local.disconnected()
        await parts.client.redis.config_set("min-replicas-to-write", 1)
        with pytest.raises(ResponseError):
            await parts.client.redis.set("x", "y")
        assert not await parts.refreshed(price(timestamp=start + 1))
        for _ in range(10):
            assert await parts.lookup.get(BTC) == price(timestamp=start + 1)
