"""Near memory: what it holds, when it is passed by, and that it hears of prices other processes have made."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence

import pytest

from aggregator.cluster.price_feed import RedisPriceFeed
from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.models import Price, Tier, encode
from aggregator.newest import NewestPrices
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.two_level_cache import TwoLevelCache
from tests.parts.examples import NOW, price
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer, binary
from tests.parts.scripted import Store
from tests.stores.conftest import TTL

DEADLINE = 15


class Parts:
    """Near memory before a cache that counts its reads."""

    def __init__(self) -> None:
        self.hub, self.behind = Bus(), Store()
        self.near = TwoLevelCache(self.behind, NewestPrices(TTL))
        self.hub.listen(self.near)


async def test_what_the_hub_tells_is_answered_without_the_cache() -> None:
    """No read goes past it, until the price has expired."""
    parts = Parts()
    parts.hub.connect()
    parts.hub.publish([price()])
    assert parts.near.peek("btcusdt") == price()
    assert await parts.near.latest(["btcusdt"]) == {"btcusdt": price()}
    assert parts.behind.reads == 0
    assert parts.near.peek("ethusdt") is None


async def test_what_this_process_writes_hides_the_price_before() -> None:
    """A reader after a refresh does not get the price before, even where the hub has not told of the new one yet."""
    parts = Parts()
    parts.hub.connect()
    parts.hub.publish([price()])
    newer = price(timestamp=NOW + 1)
    await parts.near.write([newer])
    assert parts.near.peek("btcusdt") is None
    assert await parts.near.latest(["btcusdt"]) == {"btcusdt": newer}
    parts.hub.publish([price()])
    assert parts.near.peek("btcusdt") is None
    parts.hub.publish([newer])
    assert parts.near.peek("btcusdt") == newer
    await parts.near.write([price()])
    assert parts.near.peek("btcusdt") == newer


async def test_the_rest_comes_from_the_cache() -> None:
    """Each asset from where it is."""
    parts = Parts()
    parts.hub.connect()
    await parts.behind.write([price("ethusdt")])
    parts.hub.publish([price()])
    assert sorted(await parts.near.latest(["btcusdt", "ethusdt", "solusdt"])) == ["btcusdt", "ethusdt"]


async def test_an_older_price_never_replaces_a_newer() -> None:
    """However the messages come."""
    parts = Parts()
    parts.hub.connect()
    parts.hub.publish([price(timestamp=NOW + 1)])
    parts.hub.publish([price(timestamp=NOW)])
    held = parts.near.peek("btcusdt")
    assert held is not None
    assert held.timestamp == NOW + 1


async def test_cut_off_it_forgets_and_is_passed_by() -> None:
    """What it holds could be older than what others have by now; connected again, it begins with nothing."""
    parts = Parts()
    parts.hub.publish([price()])
    assert parts.near.peek("btcusdt") is None  # not connected yet
    parts.hub.connect()
    parts.hub.publish([price()])
    parts.hub.disconnect()
    assert parts.near.peek("btcusdt") is None
    await parts.behind.write([price(timestamp=NOW + 1)])
    assert (await parts.near.latest(["btcusdt"]))["btcusdt"].timestamp == NOW + 1
    parts.hub.connect()
    assert parts.near.peek("btcusdt") is None


async def test_what_the_cache_does_not_take_is_out_of_date_here() -> None:
    """Nobody is told of the newer price, so the older one is shown to nobody any more; the others stay."""
    parts = Parts()
    parts.hub.connect()
    parts.hub.publish([price(), price("ethusdt")])
    parts.behind.away = True
    with pytest.raises(StoreUnavailable):
        await parts.near.write([price(timestamp=NOW + 1)])
    assert parts.near.peek("btcusdt") is None
    assert parts.near.peek("ethusdt") == price("ethusdt")


async def test_a_cache_that_comes_back_with_older_prices_is_not_believed() -> None:
    """What it could not take, or what was heard of while it was away: history has it, and is asked next."""
    parts = Parts()
    await parts.behind.write([price("btcusdt"), price("ethusdt"), price("solusdt")])
    parts.behind.away = True
    with pytest.raises(StoreUnavailable):
        await parts.near.write([price("btcusdt", NOW + 1)])
    parts.hub.publish([price("ethusdt", NOW + 1)])
    parts.behind.away = False
    assert await parts.near.latest(["btcusdt", "ethusdt", "solusdt"]) == {"solusdt": price("solusdt")}
    parts.hub.connect()
    parts.hub.publish([price("btcusdt")])  # told late
    assert parts.near.peek("btcusdt") is None
    await parts.near.write([price("btcusdt", NOW + 1)])
    assert await parts.near.latest(["btcusdt"]) == {"btcusdt": price("btcusdt", NOW + 1)}


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.prices: list[Price] = []
        self.states: list[str] = []

    def receive(self, prices: Sequence[Price]) -> None:
        """Remember."""
        self.prices += prices

    def connected(self) -> None:
        """Remember."""
        self.states.append("connected")

    def disconnected(self) -> None:
        """Remember; every failed attempt says it again."""
        if self.states[-1:] != ["disconnected"]:
            self.states.append("disconnected")


async def until(condition: object) -> None:
    """Wait for a condition, with a deadline."""
    assert callable(condition)
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def heard(redis_client: RedisClient) -> AsyncIterator[Heard]:
    """Listen to Redis."""
    hub, heard = Bus(), Heard()
    hub.listen(heard)
    running = asyncio.create_task(RedisPriceFeed(redis_client, hub).run())
    await until(lambda: heard.states == ["connected"])
    yield heard
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.real
async def test_prices_of_another_process_are_heard(heard: Heard, redis_cache: RedisCache) -> None:
    """In order, every one of a large batch."""
    batch = [price(f"asset{number}") for number in range(120)]
    await redis_cache.write(batch)
    await redis_cache.write([price(timestamp=NOW + 1)])
    await until(lambda: len(heard.prices) == 121)
    assert heard.prices == [*batch, price(timestamp=NOW + 1)]


@pytest.mark.real
@pytest.mark.parametrize("junk", [b"", b"null", b"\xff", b'[{"asset":1}]', encode(price())])
async def test_somebody_else_s_message_is_passed_over(
    heard: Heard, redis_client: RedisClient, redis_cache: RedisCache, junk: bytes
) -> None:
    """The next price is heard all the same."""
    await redis_client.redis.publish(f"{redis_client.prefix}prices", junk)
    await redis_cache.write([price()])
    await until(lambda: bool(heard.prices))
    assert heard.prices == [price()]


@pytest.mark.real
@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_a_subscription_that_is_lost_is_told_and_made_again(how: str) -> None:
    """Whether the connection breaks or just says nothing any more."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    server = RedisServer(free_port())
    client = RedisClient(server.url, timeout=0.25)
    hub, heard = Bus(), Heard()
    hub.listen(heard)
    running = asyncio.create_task(RedisPriceFeed(client, hub).run())
    await until(lambda: heard.states == ["connected"])
    if how == "stopped":
        server.stop()
    else:
        server.process.signal(signal.SIGSTOP)
    await until(lambda: heard.states == ["connected", "disconnected"])
    if how == "stopped":
        server = RedisServer(server.port)
    else:
        server.process.signal(signal.SIGCONT)
    await until(lambda: heard.states == ["connected", "disconnected", "connected"])
    await RedisCache(client, dict.fromkeys(Tier, 10.0)).write([price()])
    await until(lambda: heard.prices == [price()])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()
    server.stop()
