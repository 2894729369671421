"""A cache that is left alone after it has failed: by a clock, and on a real Redis that hangs, dies and forgets."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import ResponseError

from aggregator.cluster.price_feed import RedisPriceFeed
from aggregator.errors import StoreUnavailable
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
from tests.parts.redis_server import RedisServer
from tests.parts.scripted import Store
from tests.parts.sharing import running, until
from tests.stores.conftest import TTL


class Slow(Store):
    """A store that can be made to hang until let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.entered = 0

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Answer when let go."""
        self.entered += 1
        await self.let_go.wait()
        return await super().latest(symbols)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that goes when told."""
    return Clock()


@pytest.fixture
def behind() -> Slow:
    """Return the cache behind."""
    return Slow()


@pytest.fixture
def cache(behind: Slow, clock: Clock) -> CircuitBreakingCache:
    """Return it with a second's rest."""
    return CircuitBreakingCache(behind, clock)


async def fail(cache: CircuitBreakingCache) -> None:
    """Read in vain."""
    with pytest.raises(StoreUnavailable):
        await cache.latest(["btcusdt"])


async def test_after_a_failure_nobody_asks_for_a_second(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """Then one try; it fails, and there is another second of rest; it succeeds, and all go through again."""
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


async def test_one_tries_while_the_others_rest(cache: CircuitBreakingCache, behind: Slow, clock: Clock) -> None:
    """However long the try hangs, nobody joins it; who is cancelled leaves the try to the next."""
    behind.away = True
    await fail(cache)
    clock.now += OPEN_SECONDS
    behind.let_go.clear()
    for cancelled in (True, False):
        trying = asyncio.create_task(cache.latest(["btcusdt"]))
        await asyncio.sleep(0)
        entered = behind.entered
        for _ in range(100):
            await fail(cache)
        assert behind.entered == entered
        if cancelled:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
    behind.away = False
    behind.let_go.set()
    assert await trying == {}
    assert await cache.latest(["btcusdt"]) == {}


async def test_stragglers_change_nothing(cache: CircuitBreakingCache, behind: Slow, clock: Clock) -> None:
    """Those that were under way when it fell asleep neither wake it nor, after it has woken, send it to sleep again."""
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


async def test_reads_and_writes_rest_apart(cache: CircuitBreakingCache, behind: Slow) -> None:
    """A cache that only refuses writes is read on."""
    await cache.write([price()])
    behind.away = True
    with pytest.raises(StoreUnavailable):
        await cache.write([price()])
    behind.away = False
    with pytest.raises(StoreUnavailable, match="away"):
        await cache.write([price()])  # it rests
    assert await cache.latest(["btcusdt"]) == {"btcusdt": price()}


async def test_what_was_missed_is_written_with_what_comes(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """The newest of each asset, once; so that the cache does not show an older price than history has shown."""
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


async def test_much_that_was_missed_is_written_piece_by_piece(
    cache: CircuitBreakingCache, behind: Slow, clock: Clock
) -> None:
    """No write grows so large that it would take too long, and fail for that."""
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


class Counting(RedisCache):
    """The real one, counting how many calls reach it."""

    reached = 0

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Count, and ask."""
        self.reached += 1
        return await super().latest(symbols)

    async def write(self, prices: Sequence[Price]) -> None:
        """Count, and write."""
        self.reached += 1
        await super().write(prices)


class Nobody:
    """A refresher that is never needed."""

    async def refresh(self, asset: Asset, trigger: str) -> Price | NoPrice:
        """Fail the test."""
        raise AssertionError((asset, trigger))


class Parts:
    """The read path of a process with Redis, but for its history, which is in memory."""

    def __init__(self, server: RedisServer, clock: Clock) -> None:
        self.client = RedisClient(server.url, timeout=0.25)
        self.hub, self.history, self.clock = Bus(), Store(), clock
        self.redis = Counting(self.client, TTL)
        self.near = TwoLevelCache(CircuitBreakingCache(self.redis, clock), NewestPrices(TTL))
        self.hub.listen(self.near)
        metrics = Metrics(CollectorRegistry())
        self.lookup = Lookup(CATALOG, self.near, self.history, Nobody(), metrics, AccessCounts(metrics))

    async def refreshed(self, *prices: Price) -> bool:
        """Store as the refresher does, into history and cache; return whether the cache took it."""
        await self.history.write(prices)
        try:
            await self.near.write(prices)
        except StoreUnavailable:
            return False
        return True

    async def is_written(self, *prices: Price) -> bool:
        """Go on refreshing, a second later."""
        self.clock.now += OPEN_SECONDS
        return await self.refreshed(*prices)


@asynccontextmanager
async def parts_on(server: RedisServer) -> AsyncIterator[Parts]:
    """Open the parts, connected."""
    parts = Parts(server, Clock())
    async with running(RedisPriceFeed(parts.client, parts.hub).run):
        await until(lambda: parts.hub.connected)
        yield parts
    await parts.client.close()


@pytest.mark.real
@pytest.mark.parametrize("how", ["hanging", "killed"])
async def test_redis_away_and_back(redis_alone: RedisServer, how: str) -> None:
    """Reads come from history meanwhile, one of them slow in a second; afterwards from near memory and cache again.

    From the newer price on, nobody is shown the older one, though near memory had it before, and Redis had it after.
    """
    start = time.time()
    old, new, cold = price(timestamp=start), price(timestamp=start + 1), price("ethusdt", start, tier=Tier.COLD)
    server = redis_alone
    async with parts_on(server) as parts:
        assert await parts.refreshed(old, cold)
        await until(lambda: parts.near.peek("btcusdt") == old)
        server.process.signal(signal.SIGSTOP if how == "hanging" else signal.SIGKILL)
        assert not await parts.refreshed(new)
        assert parts.near.peek("btcusdt") is None  # at once, though the feed may not have noticed yet
        for _ in range(2):
            reached, started = parts.redis.reached, time.monotonic()
            answers = [await parts.lookup.get(asset) for asset in (BTC, *[BTC, ETH] * 100)]
            assert time.monotonic() - started < 2
            assert parts.redis.reached - reached <= 2  # a read and, to put into the cache what history had, a write
            assert {answer.asset: answer for answer in answers} == {"btcusdt": new, "ethusdt": cold}
            assert set(map(type, answers)) == {Price}
            parts.clock.now += OPEN_SECONDS
        await until(lambda: not parts.hub.connected)
        assert parts.near.peek("ethusdt") is None
        if how == "hanging":
            server.process.signal(signal.SIGCONT)
        else:
            server.process.ended()
            server = RedisServer(server.port)
        await until(lambda: parts.hub.connected)
        other = price("solusdt", start)
        await until(lambda: parts.is_written(other))
        await until(lambda: parts.near.peek("solusdt") == other)
        assert (await parts.redis.latest(["btcusdt"]))["btcusdt"] == new  # what was missed has come with it
        reads = parts.history.reads
        parts.clock.now += OPEN_SECONDS
        for _ in range(10):
            assert await parts.lookup.get(BTC) == new
        assert parts.history.reads == reads
        newer = price(timestamp=start + 2)
        assert await parts.refreshed(newer)
        await until(lambda: parts.near.peek("btcusdt") == newer)
    server.process.stop(signal.SIGKILL)


@pytest.mark.real
async def test_redis_emptied(redis_alone: RedisServer) -> None:
    """Whoever has a price in near memory goes on with it, the others find it in history, once; writes go on."""
    start = time.time()
    async with parts_on(redis_alone) as parts:
        assert await parts.refreshed(price(timestamp=start))
        await until(lambda: parts.near.peek("btcusdt") is not None)
        await parts.client.redis.flushall()
        await parts.client.redis.script_flush()
        assert await parts.lookup.get(BTC) == price(timestamp=start)
        parts.near.disconnected()
        for _ in range(5):
            assert await parts.lookup.get(BTC) == price(timestamp=start)
        assert parts.history.reads == 1
        assert await parts.refreshed(price(timestamp=start + 1))
        assert await parts.lookup.get(BTC) == price(timestamp=start + 1)


@pytest.mark.real
async def test_a_redis_that_takes_no_writes_is_still_read(redis_alone: RedisServer) -> None:
    """Read-only, as a replica is: what it has not taken comes from history, never the older price it still holds."""
    start = time.time()
    async with parts_on(redis_alone) as parts:
        assert await parts.refreshed(price(timestamp=start))
        parts.near.disconnected()
        await parts.client.redis.config_set("min-replicas-to-write", 1)
        with pytest.raises(ResponseError):
            await parts.client.redis.set("x", "y")
        assert not await parts.refreshed(price(timestamp=start + 1))
        for _ in range(10):
            assert await parts.lookup.get(BTC) == price(timestamp=start + 1)
