"""The local cache: which prices it has, when reads go past it, and the feed of prices from other processes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence

import pytest

from aggregator.cluster.topic_feed import RedisFeed
from aggregator.errors import StoreUnavailable
from aggregator.live.price_topic import PRICES
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

DEADLINE = 60  # seconds


class Parts:
    """A local cache in front of a cache that counts its reads."""

    def __init__(self) -> None:
        self.bus, self.shared = Bus([PRICES]), Store()
        self.local = TwoLevelCache(self.shared, NewestPrices(TTL))
        self.bus.listen(PRICES, self.local)


async def test_prices_from_the_bus_are_read_without_the_cache() -> None:
    """No read reaches the shared cache until the price has expired."""
    parts = Parts()
    parts.bus.connect()
    parts.bus.publish(PRICES, [price()])
    assert parts.local.peek("btcusdt") == price()
    assert await parts.local.latest(["btcusdt"]) == {"btcusdt": price()}
    assert parts.shared.reads == 0
    assert parts.local.peek("ethusdt") is None


async def test_a_written_price_hides_the_one_before() -> None:
    """A read after a refresh does not return the price before, even if the bus has not published the new one yet."""
    parts = Parts()
    parts.bus.connect()
    parts.bus.publish(PRICES, [price()])
    newer = price(timestamp=NOW + 1)
    await parts.local.write([newer])
    assert parts.local.peek("btcusdt") is None
    assert await parts.local.latest(["btcusdt"]) == {"btcusdt": newer}
    parts.bus.publish(PRICES, [price()])
    assert parts.local.peek("btcusdt") is None
    parts.bus.publish(PRICES, [newer])
    assert parts.local.peek("btcusdt") == newer
    await parts.local.write([price()])
    assert parts.local.peek("btcusdt") == newer


async def test_missing_prices_come_from_the_shared_cache() -> None:
    """Each asset comes from the cache that has it."""
    parts = Parts()
    parts.bus.connect()
    await parts.shared.write([price("ethusdt")])
    parts.bus.publish(PRICES, [price()])
    assert sorted(await parts.local.latest(["btcusdt", "ethusdt", "solusdt"])) == ["btcusdt", "ethusdt"]


async def test_an_older_price_never_replaces_a_newer() -> None:
    """In whatever order the messages arrive."""
    parts = Parts()
    parts.bus.connect()
    parts.bus.publish(PRICES, [price(timestamp=NOW + 1)])
    parts.bus.publish(PRICES, [price(timestamp=NOW)])
    held = parts.local.peek("btcusdt")
    assert held is not None
    assert held.timestamp == NOW + 1


async def test_it_is_empty_while_the_bus_is_disconnected() -> None:
    """Other processes may have newer prices by then; it starts empty when the bus is connected again."""
    parts = Parts()
    parts.bus.publish(PRICES, [price()])
    assert parts.local.peek("btcusdt") is None  # not connected yet
    parts.bus.connect()
    parts.bus.publish(PRICES, [price()])
    parts.bus.disconnect()
    assert parts.local.peek("btcusdt") is None
    await parts.shared.write([price(timestamp=NOW + 1)])
    assert (await parts.local.latest(["btcusdt"]))["btcusdt"].timestamp == NOW + 1
    parts.bus.connect()
    assert parts.local.peek("btcusdt") is None


async def test_a_price_that_the_shared_cache_does_not_take_replaces_the_local_one() -> None:
    """The newer price is not published, so the older one is not returned any more; other assets stay."""
    parts = Parts()
    parts.bus.connect()
    parts.bus.publish(PRICES, [price(), price("ethusdt")])
    parts.shared.away = True
    with pytest.raises(StoreUnavailable):
        await parts.local.write([price(timestamp=NOW + 1)])
    assert parts.local.peek("btcusdt") is None
    assert parts.local.peek("ethusdt") == price("ethusdt")


async def test_older_prices_of_a_cache_that_was_away_are_left_out() -> None:
    """History has the prices that the cache could not take, or that came while it was away, and is read next."""
    parts = Parts()
    await parts.shared.write([price("btcusdt"), price("ethusdt"), price("solusdt")])
    parts.shared.away = True
    with pytest.raises(StoreUnavailable):
        await parts.local.write([price("btcusdt", NOW + 1)])
    parts.bus.publish(PRICES, [price("ethusdt", NOW + 1)])
    parts.shared.away = False
    assert await parts.local.latest(["btcusdt", "ethusdt", "solusdt"]) == {"solusdt": price("solusdt")}
    parts.bus.connect()
    parts.bus.publish(PRICES, [price("btcusdt")])  # published late
    assert parts.local.peek("btcusdt") is None
    await parts.local.write([price("btcusdt", NOW + 1)])
    assert await parts.local.latest(["btcusdt"]) == {"btcusdt": price("btcusdt", NOW + 1)}


class Heard:
    """A listener that records what it gets."""

    def __init__(self) -> None:
        self.prices: list[Price] = []
        self.states: list[str] = []

    def receive(self, prices: Sequence[Price]) -> None:
        """Record."""
        self.prices += prices

    def connected(self) -> None:
        """Record."""
        self.states.append("connected")

    def disconnected(self) -> None:
        """Record; every failed attempt calls it again."""
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
    """Subscribe to Redis."""
    bus, heard = Bus([PRICES]), Heard()
    bus.listen(PRICES, heard)
    running = asyncio.create_task(RedisFeed(redis_client, bus).run())
    await until(lambda: heard.states == ["connected"])
    yield heard
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.real
async def test_prices_of_another_process_arrive(heard: Heard, redis_cache: RedisCache) -> None:
    """In order, and every price of a large batch."""
    batch = [price(f"asset{number}") for number in range(120)]
    await redis_cache.write(batch)
    await redis_cache.write([price(timestamp=NOW + 1)])
    await until(lambda: len(heard.prices) == 121)
    assert heard.prices == [*batch, price(timestamp=NOW + 1)]


@pytest.mark.real
@pytest.mark.parametrize("junk", [b"", b"null", b"\xff", b'[{"asset":1}]', encode(price())])
async def test_a_foreign_message_is_skipped(
    heard: Heard, redis_client: RedisClient, redis_cache: RedisCache, junk: bytes
) -> None:
    """The next price arrives."""
    await redis_client.redis.publish(f"{redis_client.prefix}prices", junk)
    await redis_cache.write([price()])
    await until(lambda: bool(heard.prices))
    assert heard.prices == [price()]


@pytest.mark.real
@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_a_lost_subscription_is_reported_and_made_again(how: str) -> None:
    """Whether the connection breaks or is silent."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    server = RedisServer(free_port())
    client = RedisClient(server.url, timeout=1)  # a busy machine is no outage
    bus, heard = Bus([PRICES]), Heard()
    bus.listen(PRICES, heard)
    running = asyncio.create_task(RedisFeed(client, bus).run())
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
