"""What only Redis has: one round trip for a batch, TTLs, publishing, and calls over the network."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal

import pytest
import redis.asyncio as redis
import uvloop

from aggregator.errors import StoreUnavailable
from aggregator.live.price_topic import PRICES
from aggregator.models import Tier, Trade
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient, mapped
from aggregator.stores.redis.last_trades import LastTradesStore
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer, binary
from tests.stores.conftest import TTL

pytestmark = pytest.mark.real


@pytest.fixture
async def client(redis_running: RedisServer) -> AsyncIterator[redis.Redis]:
    """Return a client to look at the keys of the cache."""
    client = redis.from_url(redis_running.url)
    yield client
    await client.aclose()


async def test_each_tier_has_its_ttl(redis_cache: RedisCache, client: redis.Redis) -> None:
    """10, 60 and 600 s after the write."""
    await redis_cache.write([price(tier.value, tier=tier) for tier in Tier])
    for tier in Tier:
        left = await client.pttl(redis_cache._prefix + tier.value)
        assert TTL[tier] - 5 < left / 1000 <= TTL[tier]


async def test_a_price_expires(redis_client: RedisClient) -> None:
    """Redis deletes it after its TTL."""
    cache = RedisCache(redis_client, dict.fromkeys(Tier, 0.05))
    await cache.write([price()])
    async with asyncio.timeout(allowed(10)):
        while await cache.latest(["btcusdt"]):
            await asyncio.sleep(0.01)


async def test_a_batch_is_one_round_trip(redis_cache: RedisCache, client: redis.Redis) -> None:
    """A thousand prices: one command for fifty of them, no MULTI, no second round trip, as counted by Redis."""
    await redis_cache.write([price()])  # loads the script
    before = await client.info("all")
    await redis_cache.write([price(f"asset{number}") for number in range(1000)])
    after = await client.info("all")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 20
    assert "cmdstat_script|load" not in after or after["cmdstat_script|load"] == before["cmdstat_script|load"]
    # far fewer reads of sockets than commands, because they came in a few packets (Redis >= 7 counts the reads)
    reads = after.get("total_reads_processed", 0) - before.get("total_reads_processed", 0)
    assert reads < 100


async def test_new_prices_are_published(redis_cache: RedisCache, client: redis.Redis) -> None:
    """Older prices and repetitions are not."""
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(redis_cache._channel)
    await redis_cache.write([price(timestamp=NOW)])
    await redis_cache.write([price(timestamp=NOW)])
    await redis_cache.write([price(timestamp=NOW - 1)])
    await redis_cache.write([price(timestamp=NOW + 1), price("ethusdt", NOW)])
    heard: list[tuple[str, float]] = []
    async with asyncio.timeout(allowed(10)):
        while len(heard) < 3:
            message = await pubsub.get_message(timeout=1)
            if message is not None:
                heard += [(one.asset, one.timestamp) for one in PRICES.decode(message["data"])]
    assert heard == [("btcusdt", NOW), ("btcusdt", NOW + 1), ("ethusdt", NOW)]
    assert await pubsub.get_message(timeout=0.05) is None
    await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py forgot this one


async def test_foreign_bytes_are_no_price(redis_cache: RedisCache, client: redis.Redis) -> None:
    """They are left out of reads, and the next price replaces them."""
    for bytes_ in (b"null", b"garbage", b'{"timestamp":"x"}', b"\xff"):
        await client.set(redis_cache._prefix + "btcusdt", bytes_)
        assert await redis_cache.latest(["btcusdt"]) == {}
        await redis_cache.write([price()])
        assert await redis_cache.latest(["btcusdt"]) == {"btcusdt": price()}


async def test_a_flushed_redis_learns_the_script_again(redis_cache: RedisCache, client: redis.Redis) -> None:
    """After SCRIPT FLUSH or a restart, a write takes one more round trip, and no price is lost."""
    await redis_cache.write([price()])
    await client.script_flush()
    await redis_cache.write([price(timestamp=NOW + 1)])
    assert (await redis_cache.latest(["btcusdt"]))["btcusdt"].timestamp == NOW + 1


async def test_a_user_without_the_right_to_load_scripts_loses_no_price_silently(
    redis_running: RedisServer, client: redis.Redis
) -> None:
    """A write or read that Redis could not do is an error which names the missing right, not a success."""
    rights = ["reset", "on", ">hush", "~*", "&*", "+@all", "-script|load"]
    await client.execute_command("ACL", "SETUSER", "scriptless", *rights)  # type: ignore[no-untyped-call]  # redis-py has not typed it
    await client.script_flush()
    limited = RedisClient(redis_running.url.replace("redis://", "redis://scriptless:hush@"), timeout=allowed(5))
    trade = Trade("btcusdt", Decimal(1), None, NOW, "binance", "1")
    for write in (RedisCache(limited, TTL).write([price()]), LastTradesStore(limited, 60).write([trade], [])):
        with pytest.raises(StoreUnavailable, match="script"):
            await write
    await limited.close()
    await client.execute_command("ACL", "DELUSER", "scriptless")  # type: ignore[no-untyped-call]  # redis-py has not typed it


async def test_an_outage_is_an_error_in_time_and_heals() -> None:
    """Refused, then hanging, then back: errors come within the timeout, without redis-py's retries; then it works."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    port = free_port()
    client = RedisClient(f"redis://127.0.0.1:{port}/0", timeout=0.25)
    cache = RedisCache(client, TTL)
    with pytest.raises(StoreUnavailable):
        await cache.ping()
    server = RedisServer(port)
    await cache.write([price()])
    server.process.signal(signal.SIGSTOP)
    try:
        for call in (cache.ping(), cache.latest(["btcusdt"]), cache.write([price()])):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await call
            assert time.monotonic() - started < allowed(5)  # a bound: without a timeout, the call would hang for ever
    finally:
        server.process.signal(signal.SIGCONT)
    async with asyncio.timeout(allowed(10)):
        while not await _has(cache):
            await asyncio.sleep(0.02)
    server.stop()
    with pytest.raises(StoreUnavailable):
        await cache.latest(["btcusdt"])
    server = RedisServer(port)
    await cache.write([price()])
    assert await _has(cache)
    server.stop()
    await client.close()


async def test_a_wrong_password_is_told() -> None:
    """The error has Redis' message, and never the password."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    server = RedisServer(None, "--requirepass", "right")
    client = RedisClient(f"redis://:hunter2@127.0.0.1:{server.port}/0", timeout=2)
    with pytest.raises(StoreUnavailable, match=r"AUTH|auth|password") as refusal:
        await client.ping()
    assert "hunter2" not in str(refusal.value)
    await client.close()
    server.stop()


async def test_a_cancellation_is_not_lost() -> None:
    """Not even where redis-py drops it, as it does before Python 3.12 just after it has sent something."""

    async def forever(error: Exception | None) -> None:
        while True:
            with suppress(StoreUnavailable), mapped():
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    if error:
                        raise error from None

    for error in (None, redis.ConnectionError("cut off")):
        task = asyncio.create_task(forever(error))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()


async def _has(cache: RedisCache) -> bool:
    try:
        return "btcusdt" in await cache.latest(["btcusdt"])
    except StoreUnavailable:
        return False


async def test_of_two_with_the_same_timestamp_the_first_stays(redis_cache: RedisCache) -> None:
    """Clients may have got it; writing it again renews its TTL."""
    first = price(amount="1")
    await redis_cache.write([first])
    await redis_cache.write([price(amount="2")])
    assert await redis_cache.latest(["btcusdt"]) == {"btcusdt": first}
    await redis_cache.write([first])
    assert await redis_cache.latest(["btcusdt"]) == {"btcusdt": first}


def test_a_connection_that_uvloop_has_closed_is_a_redis_that_is_away() -> None:
    """Its RuntimeError must not end a process; any other RuntimeError is a defect of ours and is raised."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async def write_to_a_closed_connection() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()
            with pytest.raises(StoreUnavailable), mapped():
                writer.transport.writelines([b"PING\r\n"])
            with pytest.raises(RuntimeError, match="ours"), mapped():
                raise RuntimeError("ours")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write_to_a_closed_connection())
