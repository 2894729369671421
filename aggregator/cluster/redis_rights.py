"""Checks our rights on a Redis by doing everything that the service does there, on keys of its own.

The keys of windows and of claims begin as those of the service: a user may have rights on some of these beginnings.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from aggregator.cluster.consumer_group import Group
from aggregator.cluster.outlet_claims import OutletClaims
from aggregator.cluster.popularity_scores import RedisScores
from aggregator.errors import StoreError, StoreUnavailable
from aggregator.live.price_topic import PRICES
from aggregator.models import Price, Trade
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient, mapped
from aggregator.stores.redis.last_trades import LastTradesStore
from aggregator.stores.redis.saved_windows import RedisWindows

_EXPIRE_MS = 60_000  # of keys that stay behind if the check is interrupted
_IDLE_MS = 3_600_000  # longer than any entry of this check is pending


class RedisInfo(msgspec.Struct, frozen=True):
    """The answer of INFO. `most_bytes` is maxmemory, 0 for no limit; `policy` is maxmemory-policy."""

    version: str
    most_bytes: int
    policy: str
    is_replica: bool


async def redis_info(client: RedisClient) -> RedisInfo:
    """Return what INFO says. Raises StoreUnavailable, also where INFO is not allowed."""
    with mapped():
        said: Mapping[str, object] = await client.redis.info()
    return RedisInfo(
        str(said.get("redis_version", "")),
        int(str(said.get("maxmemory", 0))),
        str(said.get("maxmemory_policy", "")),
        said.get("role") == "slave",
    )


async def refusals(url: str, seconds: float, price: Price) -> list[str]:
    """Return what Redis refuses, and why; a call times out after `seconds`, `price` is the price to write."""
    name = f"doctor:{uuid.uuid4()}"
    client, shared = RedisClient(url, seconds, prefix=f"aggregator:{name}:"), RedisClient(url, seconds)
    steps: Mapping[str, Callable[[], Awaitable[None]]] = {
        "keep prices": lambda: _keep(client, price),
        "keep last trades": lambda: _keep_trade(client, price),
        "receive prices": lambda: _subscribe(client),
        "share jobs": lambda: _share(client),
        "lock a warm-up": lambda: _lock(client),
        "rank by popularity": lambda: _rank(client),
        "save windows": lambda: _save_windows(shared, name),
        "claim events of outlets": lambda: _claim(shared, name),
    }
    try:
        return [text for what, step in steps.items() if (text := await _tried(what, step))]
    finally:
        await client.close()
        await shared.close()


async def _tried(name: str, step: Callable[[], Awaitable[None]]) -> str:
    try:
        await step()
    except StoreError as error:
        return f"{name} ({error})"
    return ""


async def _keep(client: RedisClient, price: Price) -> None:
    cache = RedisCache(client, {price.tier: _EXPIRE_MS / 1000})
    await cache.write([price])
    if price.asset not in await cache.latest([price.asset]):
        raise StoreUnavailable("Redis: what was just written is not there")
    await _remove(client, f"{client.prefix}price:{price.asset}")


async def _keep_trade(client: RedisClient, price: Price) -> None:
    trades = LastTradesStore(client, _EXPIRE_MS / 1000)
    await trades.write([Trade(price.asset, price.price, None, price.timestamp, "doctor", "1")], [])
    if not (await trades.read([price.asset]))[0]:
        raise StoreUnavailable("Redis: what was just written is not there")
    await _remove(client, f"{client.prefix}quotes")


async def _subscribe(client: RedisClient) -> None:
    with mapped():
        async with client.redis.pubsub() as pubsub:
            with mapped():
                await pubsub.subscribe(client.channel(PRICES.name))
                confirmed = await pubsub.get_message(timeout=client.timeout)
    if confirmed is None:
        raise StoreUnavailable("Redis: no answer to SUBSCRIBE")


async def _share(client: RedisClient) -> None:
    """Do what a refresher does with a job: add it, read it, claim it, acknowledge it, measure the lag."""
    stream = f"{client.prefix}jobs"
    group = Group(client, stream, "doctor")
    with mapped():
        await client.redis.xadd(stream, {"symbols": ""}, minid=0)
        await client.redis.pexpire(stream, _EXPIRE_MS)
        await group.read()  # creates the group
        entry = await group.read()
        await group.claim(_IDLE_MS)
        await group.acknowledge(entry.id if entry else "0-0")
        await group.unfinished()
        await group.forget_the_gone()
        await client.redis.xgroup_delconsumer(stream, "refreshers", "doctor")
    await _remove(client, stream)


async def _lock(client: RedisClient) -> None:
    with mapped():
        async with client.redis.lock(f"{client.prefix}filling", timeout=_EXPIRE_MS / 1000) as lock:
            await lock.reacquire()


async def _rank(client: RedisClient) -> None:
    scores = RedisScores(client)
    await scores.add({"doctor": 1})
    await scores.rank(_EXPIRE_MS / 1000, lambda _: {})
    await scores.slots()
    await _remove(client, *(f"{client.prefix}{name}" for name in ("accesses", "seats", "ranking")))


async def _save_windows(client: RedisClient, log: str) -> None:
    """Do what a processor does with the windows of a partition: save them twice, delete the older ones, load them."""
    windows = RedisWindows(client, log)
    await windows.save(0, 1, b"", before=0)
    await windows.save(0, 2, b"", before=2)
    if await windows.load(0, 2) is None:
        raise StoreUnavailable("Redis: what was just written is not there")
    await _remove(client, f"{client.prefix}windows:{log}:0")


async def _claim(client: RedisClient, outlet: str) -> None:
    await OutletClaims(client, "doctor", _EXPIRE_MS / 1000).claim(outlet, ["key"])
    await _remove(client, f"{client.prefix}outlet_key:{outlet}:key")


async def _remove(client: RedisClient, *keys: str) -> None:
    with mapped():
        await client.redis.delete(*keys)
