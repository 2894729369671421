"""A refresh asked for in one process and done in another, through a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from aggregator.cluster import consumer_group as groups
from aggregator.cluster.consumer_group import Entry, Group
from aggregator.cluster.price_feed import RedisPriceFeed
from aggregator.cluster.refresh_requests import RefreshRequests, RemoteRefresh
from aggregator.live.topics import Bus
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason, encode
from aggregator.ports import Trigger
from aggregator.stores.redis.client import RedisClient
from tests.parts.examples import BTC, CATALOG, ETH, price
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real

PATIENCE = 10.0
DEEP = b'{"x":' + b"[" * 100_000


class Refresher:
    """Refreshes by saying what it was told to say, once it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Trigger]] = []
        self.outcome: Price | NoPrice = price()
        self.may = asyncio.Event()
        self.may.set()

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """As told."""
        self.asked.append((asset.symbol, trigger))
        await self.may.wait()
        return self.outcome


class Process:
    """A process that has no exchanges: a subscription, and who asks."""

    def __init__(self, client: RedisClient, patience: float = PATIENCE) -> None:
        self.hub = Bus()
        self.feed = RedisPriceFeed(client, self.hub)
        self.remote = RemoteRefresh(client, self.feed, patience)


@pytest.fixture
def refresher() -> Refresher:
    """Refresh at once, with a price."""
    return Refresher()


@pytest.fixture
def requests(redis_client: RedisClient, refresher: Refresher) -> RefreshRequests:
    """Open the side that answers."""
    return RefreshRequests(redis_client, CATALOG, refresher, "one", PATIENCE)


@pytest.fixture
async def asking(redis_client: RedisClient) -> AsyncIterator[Process]:
    """Run the side that asks."""
    process = Process(redis_client)
    async with running(process.feed.run):
        await until(lambda: process.hub.connected)
        yield process


async def ask(client: RedisClient, symbol: str | bytes, *, at: str = "*", **fields: str) -> None:
    """Put a request into the stream by hand."""
    request: dict[Any, Any] = {"symbol": symbol, **fields}
    await client.redis.xadd(f"{client.prefix}refreshes", request, id=at)


@pytest.mark.parametrize(
    "outcome", [price(), NoPrice("btcusdt", (LeftOut("exchange1", Reason.TIMEOUT, "no answer in time"),))]
)
async def test_the_answer_comes_back_whole(
    asking: Process, requests: RefreshRequests, refresher: Refresher, outcome: Price | NoPrice
) -> None:
    """A price or the reasons for none, and with what it was asked for."""
    refresher.outcome = outcome
    async with running(requests.run):
        assert await asking.remote.refresh(BTC, "manual") == outcome
        assert await asking.remote.refresh(BTC, "force") == outcome
    assert refresher.asked == [("btcusdt", "manual"), ("btcusdt", "force")]


async def test_callers_at_once_share_one_question(
    asking: Process, requests: RefreshRequests, refresher: Refresher
) -> None:
    """All get the answer, and one who goes away takes it from nobody."""
    refresher.may.clear()
    callers = [asyncio.create_task(asking.remote.refresh(BTC, "force")) for _ in range(5)]
    async with running(requests.run):
        await until(lambda: bool(refresher.asked))
        callers[0].cancel()
        callers.append(asyncio.create_task(asking.remote.refresh(BTC, "force")))
        refresher.may.set()
        assert await asyncio.gather(*callers[1:]) == [price()] * 5
    assert len(refresher.asked) == 1


async def test_who_goes_away_while_asking_leaves_the_question_to_the_others(
    asking: Process, requests: RefreshRequests, refresher: Refresher
) -> None:
    """They share what the first has begun, however far it has got."""
    async with running(requests.run):
        first, second = (asyncio.create_task(asking.remote.refresh(BTC, "force")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(PATIENCE / 2):
            assert await second == price()
    assert len(refresher.asked) == 1


async def test_each_process_hears_its_own_answers(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher
) -> None:
    """Two that ask for the same get an answer each."""
    other = Process(redis_client)
    async with running(other.feed.run, requests.run):
        await until(lambda: other.hub.connected)
        both = await asyncio.gather(asking.remote.refresh(BTC, "force"), other.remote.refresh(BTC, "force"))
        assert list(both) == [price(), price()]
    assert len(refresher.asked) == 2


async def test_nobody_there_is_no_price(redis_client: RedisClient) -> None:
    """After the patience, with the reason; and the next question is a new one."""
    process = Process(redis_client, patience=0.1)
    for _ in range(2):
        outcome = await process.remote.refresh(BTC, "force")
        assert isinstance(outcome, NoPrice)
        assert outcome.asset == "btcusdt"
        assert [one.reason for one in outcome.left_out] == [Reason.UNREACHABLE]
    assert await redis_client.redis.xlen(f"{redis_client.prefix}refreshes") == 2


async def test_redis_away_is_no_price_at_once() -> None:
    """Nobody waits for a Redis that cannot be asked, not even those who share the question."""
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0", timeout=0.25)
    process = Process(client, patience=60)
    started = time.monotonic()
    outcomes = await asyncio.gather(*(process.remote.refresh(BTC, "force") for _ in range(3)))
    assert time.monotonic() - started < 10
    assert all(isinstance(outcome, NoPrice) for outcome in outcomes)
    await client.close()


async def test_who_answers_starts_without_redis_and_goes_on_with_it(refresher: Refresher) -> None:
    """Whichever comes first."""
    port = free_port()
    client = RedisClient(f"redis://127.0.0.1:{port}/0", timeout=0.25)
    process = Process(client)
    async with running(RefreshRequests(client, CATALOG, refresher, "one", PATIENCE).run, process.feed.run):
        assert isinstance(await process.remote.refresh(BTC, "force"), NoPrice)
        server = RedisServer(port)
        await until(lambda: process.hub.connected)
        assert await process.remote.refresh(BTC, "force") == price()
    await client.close()
    server.stop()


async def test_requests_nobody_waits_for_are_not_done(
    redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher
) -> None:
    """Older than the patience, of an asset that is not listed here, or somebody else's: the next is done."""
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
async def test_junk_for_an_answer_is_none(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests, refresher: Refresher, junk: bytes
) -> None:
    """On the channel for answers and on that of the prices; the answer is heard all the same."""
    refresher.may.clear()
    async with running(requests.run):
        caller = asyncio.create_task(asking.remote.refresh(BTC, "force"))
        await until(lambda: bool(refresher.asked))
        await redis_client.redis.publish(asking.remote._channel, junk)
        await redis_client.redis.publish(f"{redis_client.prefix}prices", b"[" + junk + b"]")
        refresher.may.set()
        assert await caller == price()


async def test_a_late_answer_goes_nowhere(asking: Process, redis_client: RedisClient) -> None:
    """Nobody waits for it any more."""
    await redis_client.redis.publish(asking.remote._channel, encode({"price": price()}))
    assert asking.remote._waiting == {}


async def test_a_key_of_another_type_is_waited_out(
    asking: Process, redis_client: RedisClient, requests: RefreshRequests
) -> None:
    """No price while it is there, and nobody ends."""
    await redis_client.redis.set(f"{redis_client.prefix}refreshes", "not a stream")
    async with running(requests.run):
        assert isinstance(await asking.remote.refresh(BTC, "force"), NoPrice)
        await redis_client.redis.delete(f"{redis_client.prefix}refreshes")
        assert await asking.remote.refresh(BTC, "force") == price()


async def test_refreshers_that_are_no_more_are_forgotten(
    redis_client: RedisClient, requests: RefreshRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next that starts."""
    monkeypatch.setattr(groups, "_GONE_MS", -1)
    stream = f"{redis_client.prefix}refreshes"
    await redis_client.redis.xgroup_create(stream, "refreshers", mkstream=True)
    await redis_client.redis.xgroup_createconsumer(stream, "refreshers", "gone")
    async with running(requests.run):
        await until(lambda: _forgotten(redis_client, stream, "gone"))


async def _forgotten(client: RedisClient, stream: str, name: str) -> bool:
    consumers: Sequence[dict[str, object]] = await client.redis.xinfo_consumers(stream, "refreshers")
    return name.encode() not in [one["name"] for one in consumers]


async def test_a_group_is_made_where_it_is_missing(redis_client: RedisClient) -> None:
    """By reading or by claiming, with the stream or without; what is in the stream by then is read."""
    stream = f"{redis_client.prefix}stream"
    group = Group(redis_client, stream, "one")
    ways: list[Callable[[], Awaitable[Entry | None]]] = [group.read, lambda: group.claim(0)]
    for first in ways:
        assert await group.unfinished() == (None, [])
        assert await first() is None  # it is made
        assert await group.read() is None
        await redis_client.redis.xadd(stream, {"number": "1"})
        entry = await group.read()
        assert entry is not None
        assert entry.fields == {"number": "1"}
        await redis_client.redis.xgroup_destroy(stream, "refreshers")
        assert await first() is None
        assert await group.read() == entry  # of the stream that was there before the group
        await redis_client.redis.delete(stream)


async def test_only_consumers_long_gone_and_with_nothing_unfinished_are_forgotten(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the others have to finish can still be claimed."""
    stream = f"{redis_client.prefix}stream"
    await Group(redis_client, stream, "").forget_the_gone()  # there is no stream yet: nothing to do
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
