"""The last trades and features in a real Redis: who writes, who reads, and which value stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGKILL, SIGSTOP

import msgspec
import pytest

from aggregator.cluster.last_trades import LastTradesWriter
from aggregator.cluster.shared_trades import SharedTrades
from aggregator.cluster.topic_feed import RedisFeed
from aggregator.live.topics import Bus
from aggregator.models import FUTURE_TOLERANCE, Trade
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.last_trades import LastTradesStore
from aggregator.trades.features import Features
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts import redis_server
from tests.parts.examples import NOW
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until
from tests.parts.trade_api import KnownTrades, features, sold, trade

pytestmark = pytest.mark.real

ASSETS = [f"asset{number}" for number in range(450)]


class Member:
    """One process of the group: a processor's knowledge, what it writes, and what it knows of the others."""

    def __init__(self, url: str) -> None:
        self.client = RedisClient(url, timeout=1, prefix="last:")
        self.store = LastTradesStore(self.client, 3600, lambda: NOW)
        self.live = KnownTrades()
        self.changed: set[str] = set()
        self.writer = LastTradesWriter(self.store, self.live, ASSETS, self._take)
        self.bus = Bus([TRADES, FEATURES])
        self.feed = RedisFeed(self.client, self.bus)
        self.shared = SharedTrades(self.store, self.bus, ASSETS, lambda: NOW)

    def process(self, *trades: Trade) -> None:
        """Do as a processor does with new trades, but publish nothing."""
        for one in trades:
            self.live.quotes[one.asset] = one
            self.live.known[one.asset] = features(one.asset, one.timestamp)
            self.changed.add(one.asset)

    def knows(self, *trades: Trade) -> bool:
        """Whether these are the last trades of their assets, and their features are known too."""
        return all(
            self.shared.quote(one.asset) == one
            and self.shared.features(one.asset) == features(one.asset, one.timestamp)
            for one in trades
        )

    def _take(self) -> set[str]:
        changed, self.changed = self.changed, set()
        return changed


@asynccontextmanager
async def members(server: RedisServer, number: int) -> AsyncIterator[list[Member]]:
    """Yield processes of which nothing runs yet."""
    found = [Member(server.url) for _ in range(number)]
    yield found
    for one in found:
        await one.client.close()


async def held(store: LastTradesStore, asset: str = "asset1") -> tuple[Trade | None, Features | None]:
    """Return the values of an asset in the hashes."""
    trades, values = await store.read([asset])
    return trades[0] if trades else None, values[0] if values else None


async def test_a_newer_value_stays() -> None:
    """Whichever comes later: by time, then by venue and id, or by the time of computing."""
    with redis_server.alone() as server:
        async with members(server, 2) as (one, zombie):
            newest = [sold(trade(5, "0.1", None, NOW, "asset1"), 9), features("asset1")]
            assert await one.store.write(newest[:1], newest[1:]) == (1, 1)  # type: ignore[arg-type]  # a list of both
            older = [trade(4, asset="asset1"), trade(9, timestamp=NOW - 1, asset="asset1")]
            computed_before = msgspec.structs.replace(features("asset1"), updated_at=NOW - 9)
            for late_trade in older:
                for late in (computed_before, features("asset1", NOW - 1)):
                    await zombie.store.write([late_trade], [late])
                    assert [*await held(one.store)] == newest
            for number, venue in ((6, "venue"), (1, "venuf"), (1, "é")):
                later = msgspec.structs.replace(trade(number, asset="asset1"), venue=venue)
                again = msgspec.structs.replace(features("asset1"), updated_at=NOW + number)
                await one.store.write([later], [again] if venue == "venue" else [])
                assert (await held(one.store))[0] == later
            assert (await held(one.store))[1] == msgspec.structs.replace(features("asset1"), updated_at=NOW + 6)


@pytest.mark.parametrize("text", [b"nonsense", b"[1]", b'{"timestamp":1e99,"window_end":1e99}', b'"timestamp":1'])
async def test_values_that_are_not_ours(text: bytes) -> None:
    """They are left out of reads, and replaced."""
    with redis_server.alone() as server:
        async with members(server, 1) as (one,):
            for name in ("quotes", "features"):
                await one.client.redis.hset(f"last:{name}", "asset1", text)
            assert await held(one.store) == (None, None)
            expected = trade(asset="asset1"), features("asset1")
            await one.store.write([expected[0]], [expected[1]])
            assert await held(one.store) == expected


async def test_a_value_of_a_wrong_clock_hides_nothing() -> None:
    """A value too far in the future is replaced by the next one; texts cannot pretend to be times."""
    with redis_server.alone() as server:
        async with members(server, 1) as (one,):
            ahead = NOW + FUTURE_TOLERANCE + 1
            await one.store.write([trade(timestamp=ahead, asset="asset1")], [features("asset1", ahead)])
            sly = msgspec.structs.replace(trade(2, asset="asset1"), id='"timestamp":9e9,')
            await one.store.write([sly], [features("asset1")])
            assert await held(one.store) == (sly, features("asset1"))
            await one.store.write([trade(1, timestamp=NOW + 1, asset="asset1")], [])
            assert (await held(one.store))[0] == trade(1, timestamp=NOW + 1, asset="asset1")


async def test_the_hashes_expire() -> None:
    """After the retention of trades, counted from the last write."""
    with redis_server.alone() as server:
        async with members(server, 1) as (one,):
            await one.store.write([trade(asset="asset1")], [features("asset1")])
            for name in ("quotes", "features"):
                assert 3_500_000 < await one.client.redis.pttl(f"last:{name}") <= 3_600_000


async def test_a_process_that_starts_later_knows_every_asset() -> None:
    """From the hashes, although nothing is published any more; assets that are not listed are left out."""
    with redis_server.alone() as server:
        async with members(server, 2) as (one, late):
            trades = [trade(asset=asset) for asset in ASSETS]
            one.process(*trades, trade(asset="nosuch"))
            await one.writer.write(is_check=False)
            async with running(late.shared.run, late.feed.run):
                await until(lambda: late.knows(*trades))
                await late.shared.settled()
            assert late.shared.quote("nosuch") is None


async def test_what_a_start_computes_is_written_too() -> None:
    """A processor that reads its store again publishes nothing, but its values are compared from time to time."""
    with redis_server.alone() as server:
        async with members(server, 2) as (one, other), running(one.writer.run, other.shared.run):
            one.process(trade(asset="asset1"))
            one.changed.clear()
            await until(lambda: other.knows(trade(asset="asset1")))


async def test_only_what_has_changed_is_written() -> None:
    """The same object is not sent again; a check of all assets sends nothing but asks for the sizes."""
    with redis_server.alone() as server:
        async with members(server, 1) as (one,):
            one.process(trade(asset="asset1"), trade(asset="asset2"))
            await one.writer.write(is_check=False)
            info = await one.client.redis.info("commandstats")
            written = info["cmdstat_hset"]["calls"]
            one.changed.add("asset1")
            await one.writer.write(is_check=False)
            await one.writer.write(is_check=True)
            info = await one.client.redis.info("commandstats")
            assert info["cmdstat_hset"]["calls"] == written == 4


@pytest.mark.parametrize("way", ["flushed", "restarted"])
async def test_a_redis_that_was_emptied_gets_all_of_it_again(way: str) -> None:
    """Also the assets that have no new trades."""
    again: list[RedisServer] = []
    with redis_server.alone() as server:
        async with members(server, 2) as (one, late):
            trades = [trade(asset=asset) for asset in ASSETS]
            one.process(*trades)
            async with running(one.writer.run):
                await until(lambda: _has(one.store, ASSETS[-1]))
                if way == "flushed":
                    await one.client.redis.flushall()
                else:
                    server.process.stop(SIGKILL)
                    again.append(RedisServer(server.port))
                async with running(late.shared.run):
                    await until(lambda: late.knows(*trades))
        for one_more in again:
            one_more.stop()


async def test_redis_paused_while_trades_are_written() -> None:
    """The newest values are written once it goes on."""
    with redis_server.alone() as server:
        async with members(server, 2) as (one, other), running(one.writer.run, other.feed.run, other.shared.run):
            await until(lambda: other.bus.connected)
            server.process.signal(SIGSTOP)
            one.process(trade(1, asset="asset1"))
            await until(lambda: bool(one.writer.trouble))
            one.process(trade(2, timestamp=NOW + 2, asset="asset1"))
            server.process.signal(SIGCONT)
            await until(lambda: other.knows(trade(2, timestamp=NOW + 2, asset="asset1")))


async def test_a_new_connection_reads_what_was_missed() -> None:
    """A snapshot waits for it."""
    with redis_server.alone() as server:
        async with members(server, 2) as (one, other), running(other.feed.run, other.shared.run):
            await until(lambda: other.bus.connected)
            await other.shared.settled()
            other.bus.disconnect()
            one.process(trade(asset="asset1"))
            await one.writer.write(is_check=False)
            other.bus.connect()
            await other.shared.settled()
            assert other.knows(trade(asset="asset1"))


async def test_a_stop_writes_what_has_changed() -> None:
    """A process that takes over knows the values of the one that stopped."""
    with redis_server.alone() as server:
        async with members(server, 1) as (one,):
            task = asyncio.create_task(one.writer.run())
            await asyncio.sleep(0)
            one.process(trade(asset="asset1"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await held(one.store) == (trade(asset="asset1"), features("asset1"))


async def _has(store: LastTradesStore, asset: str) -> bool:
    return (await held(store, asset))[1] is not None
