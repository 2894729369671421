"""Refreshes that one process requests and another does, through a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from aggregator.cluster import consumer_group as groups
from aggregator.cluster.consumer_group import Entry, Group
from aggregator.cluster.refresh_requests import RefreshRequests, RemoteRefresh
from aggregator.cluster.topic_feed import RedisFeed
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason, encode
from aggregator.ports import Trigger
from aggregator.stores.redis.client import RedisClient
from tests.parts.examples import BTC, CATALOG, ETH, price
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real

PATIENCE = 60.0
DEEP = b'{"x":' + b"[" * 100_000


class Refresher:
    """A refresher that returns the outcomes it was given, once it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Trigger]] = []
        self.outcome: Price | NoPrice = price()
        self.may = asyncio.Event()
        self.may.set()

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Return the given outcome."""
        self.asked.append((asset.symbol, trigger))
        await self.may.wait()
        return self.outcome


class Process:
    """A process without exchanges: a price feed and a RemoteRefresh."""

    def __init__(self, client: RedisClient, patience: float = PATIENCE) -> None:
        self.bus = Bus([PRICES])
        self.feed = RedisFeed(client, self.bus)
        self.remote = RemoteRefresh(client, self.feed, patience)


@pytest.fixture
def refresher() -> Refresher:
    """Return a refresher that returns a price at once."""
    return Refresher()


@pytest.fixture
def requests(redis_client: RedisClient, refresher: Refresher) -> RefreshRequests:
    """Run the side that answers."""
    return RefreshRequests(redis_client, CATALOG, refresher, "one", PATIENCE)


@pytest.fixture
async def asking(redis_client: RedisClient) -> AsyncIterator[Process]:
    """Run the side that requests."""
    process = Process(redis_client)
    async with running(process.feed.run):
        await until(lambda: process.bus.connected)
        yield process


async def ask(client: RedisClient, symbol: str | bytes, *, at: str = "*", **fields: str) -> None:
    """Add a request to the stream."""
    request: dict[Any, Any] = {"symbol": symbol, **fields}
    await client.redis.xadd(f"{client.prefix}refreshes", request, id=at)


@pytest.mark.parametrize(
    "outcome", [price(), NoPrice("btcusdt", (LeftOut("exchange1", Reason.TIMEOUT, "no answer in time"),))]
)
async def test_the_answer_comes_back_whole(
    asking: Process, requests: RefreshRequests, refresher: Refresher, outcome: Price | NoPrice
) -> None:
    """A price, or the reasons for none; asset and trigger arrive at the refresher."""
    refresher.outcome = outcome
    async with running(requests.run):
        assert await asking.remote.refresh(BTC, "manual") == outcome
        assert await asking.remote.refresh(BTC, "force") == outcome
    assert refresher.asked == [("btcusdt", "manual"), ("btcusdt", "force")]


async def test_concurrent_callers_share_one_request(
    asking: Process, requests: RefreshRequests, refresher: Refresher
) -> None:
    """All get the outcome; a cancelled caller does not cancel the request."""
    refresher.may.clear()
    callers = [asyncio.create_task(asking.remote.refresh(BTC, "force")) for _ in range(5)]
    async with running(requests.run):
        await until(lambda: bool(refresher.asked))
        callers[0].cancel()
        callers.append(asyncio.create_task(asking.remote.refresh(BTC, "force")))
        refresher.may.set()
        assert await asyncio.gather(*callers[1:]) == [price()] * 5
    assert len(refresher.asked) == 1


async def test_a_caller_cancelled_while_sending_leaves_the_request_to_the_others(
    asking: Process, requests: RefreshRequests, refresher: Refresher
) -> None:
    """They share the request of the first caller, even before it is sent."""
    async with running(requests.run):
        first, second = (asyncio.create_task(asking.remote.refresh(BTC, "force")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(PATIENCE / 2):
            assert await second == price()
    assert len(refresher.asked) == 1


async def test_each_process_gets_its_own_outcomes(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher
) -> None:
    """Two processes that request the same asset get an outcome each."""
    other = Process(redis_client)
    async with running(other.feed.run, requests.run):
        await until(lambda: other.bus.connected)
        both = await asyncio.gather(asking.remote.refresh(BTC, "force"), other.remote.refresh(BTC, "force"))
        assert list(both) == [price(), price()]
    assert len(refresher.asked) == 2


async def test_without_a_refresher_there_is_no_price(redis_client: RedisClient) -> None:
    """The caller gets the reason after the patience; the next call sends a new request."""
    process = Process(redis_client, patience=0.1)
    for _ in range(2):
        outcome = await process.remote.refresh(BTC, "force")
        assert isinstance(outcome, NoPrice)
        assert outcome.asset == "btcusdt"
        assert [one.reason for one in outcome.left_out] == [Reason.UNREACHABLE]
    assert await redis_client.redis.xlen(f"{redis_client.prefix}refreshes") == 2


async def test_redis_away_is_no_price_at_once() -> None:
    """No caller waits for a Redis that is away, nor does one that shares the request."""
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0", timeout=0.25)
    process = Process(client, patience=60)
    started = time.monotonic()
    outcomes = await asyncio.gather(*(process.remote.refresh(BTC, "force") for _ in range(3)))
    assert time.monotonic() - started < 60
    assert all(isinstance(outcome, NoPrice) for outcome in outcomes)
    await client.close()


async def test_the_answering_side_starts_without_redis_and_goes_on_with_it(refresher: Refresher) -> None:
    """Whether Redis or the refresher starts first."""
    port = free_port()
    client = RedisClient(f"redis://127.0.0.1:{port}/0", timeout=0.25)
    process = Process(client)
    async with running(RefreshRequests(client, CATALOG, refresher, "one", PATIENCE).run, process.feed.run):
        assert isinstance(await process.remote.refresh(BTC, "force"), NoPrice)
        server = RedisServer(port)
        await until(lambda: process.bus.connected)
        assert await process.remote.refresh(BTC, "force") == price()
    await client.close()
    server.stop()


async def test_outdated_and_foreign_requests_are_not_done(
    redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher
) -> None:
    """A request that is too old, of an unlisted asset, or not ours, is skipped; the next one is done."""
    seconds, _ = await redis_client.redis.time()
    await ask(redis_client, "btcusdt", at=f"{(seconds - 60) * 1000}-0")
    await ask(redis_client, "nothere", reply="nowhere")
    await ask(redis_client, b"\xff\xfe")
    await redis_client.redis.xadd(f"{redis_client.prefix}refreshes", {b"\xff": b"\xff"})
    await ask(redis_client, "ethusdt", trigger="\0", reply="")
    async with running(requests.run):
        await until(lambda: bool(refresher.asked))
    assert refresher.asked == [(ETH.symbol, "force")]


@pytest.mark.parametrize("junk", [b"", b"{}", b"null", b"\xff", b'{"price":1}', b'{"no_price":{"asset":"x"}}', DEEP])
async def test_unreadable_outcomes_are_ignored(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher, junk: bytes
) -> None:
    """On the channel of outcomes and on that of prices; the outcome arrives all the same."""
    refresher.may.clear()
    async with running(requests.run):
        caller = asyncio.create_task(asking.remote.refresh(BTC, "force"))
        await until(lambda: bool(refresher.asked))
        await redis_client.redis.publish(asking.remote._channel, junk)
        await redis_client.redis.publish(f"{redis_client.prefix}prices", b"[" + junk + b"]")
        refresher.may.set()
        assert await caller == price()


async def test_a_late_outcome_is_ignored(asking: Process, redis_client: RedisClient) -> None:
    """No call waits for it any more."""
    await redis_client.redis.publish(asking.remote._channel, encode({"price": price()}))
    assert asking.remote._waiting == {}


async def test_a_key_of_another_type_is_waited_out(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests
) -> None:
    """There is no price while the key exists, and both processes go on."""
    await redis_client.redis.set(f"{redis_client.prefix}refreshes", "not a stream")
    async with running(requests.run):
        assert isinstance(await asking.remote.refresh(BTC, "force"), NoPrice)
        await redis_client.redis.delete(f"{redis_client.prefix}refreshes")
        assert await asking.remote.refresh(BTC, "force") == price()


async def test_consumers_of_ended_refreshers_are_deleted(
    redis_client: RedisClient, requests: RefreshRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next refresher that starts."""
    monkeypatch.setattr(groups, "_GONE_MS", -1)
    stream = f"{redis_client.prefix}refreshes"
    await redis_client.redis.xgroup_create(stream, "refreshers", mkstream=True)
    await redis_client.redis.xgroup_createconsumer(stream, "refreshers", "gone")
    async with running(requests.run):
        await until(lambda: _forgotten(redis_client, stream, "gone"))


async def _forgotten(client: RedisClient, stream: str, name: str) -> bool:
    consumers: Sequence[dict[str, object]] = await client.redis.xinfo_consumers(stream, "refreshers")
    return name.encode() not in [one["name"] for one in consumers]


async def test_a_missing_group_is_created(redis_client: RedisClient) -> None:
    """By a read or a claim, with or without a stream; the entries that are in the stream by then are read."""
    stream = f"{redis_client.prefix}stream"
    group = Group(redis_client, stream, "one")
    ways: list[Callable[[], Awaitable[Entry | None]]] = [group.read, lambda: group.claim(0)]
    for first in ways:
        assert await group.unfinished() == (None, [])
        assert await first() is None  # the group is created
        assert await group.read() is None
        await redis_client.redis.xadd(stream, {"number": "1"})
        entry = await group.read()
        assert entry is not None
        assert entry.fields == {"number": "1"}
        await redis_client.redis.xgroup_destroy(stream, "refreshers")
        assert await first() is None
        assert await group.read() == entry  # of the stream that existed before the group
        await redis_client.redis.delete(stream)


async def test_only_consumers_long_idle_and_with_nothing_pending_are_deleted(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pending entries of the others can still be claimed."""
    stream = f"{redis_client.prefix}stream"
    await Group(redis_client, stream, "").forget_the_gone()  # there is no stream yet
    for name in ("idle", "busy"):
        await Group(redis_client, stream, name).read()
        await redis_client.redis.xadd(stream, {"for": name})
        entry = await Group(redis_client, stream, name).read()
        assert entry is not None
        if name == "idle":
            await Group(redis_client, stream, name).acknowledge(entry.id)
    here = Group(redis_client, stream, "here")
    await here.forget_the_gone()
    assert not await _forgotten(redis_client, stream, "idle")
    monkeypatch.setattr(groups, "_GONE_MS", -1)
    await here.forget_the_gone()
    assert await _forgotten(redis_client, stream, "idle")
    assert not await _forgotten(redis_client, stream, "busy")
    claimed = await here.claim(0)
    assert claimed is not None
    assert claimed.fields == {"for": "busy"}
