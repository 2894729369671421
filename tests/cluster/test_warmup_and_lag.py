"""The warm-up lock and the lag that refreshers share in addition to jobs, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from aggregator.cluster import lag as lags
from aggregator.cluster.consumer_group import Group
from aggregator.cluster.lag import JobLag
from aggregator.models import Tier
from aggregator.stores.redis.client import RedisClient
from tests.parts.limits import allowed
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import DEADLINE, Sharer, hot_catalog, running, until
from tests.parts.streams import hanging_up

pytestmark = pytest.mark.real

CATALOG = hot_catalog(1, 3)


@pytest.fixture
async def two(redis_running: RedisServer, redis_client: RedisClient) -> AsyncIterator[list[Sharer]]:
    """Return two refreshers that start at the same time."""
    found = [Sharer(redis_running.url, redis_client.prefix, CATALOG, f"refresher{number}") for number in range(2)]
    yield found
    for sharer in found:
        await sharer.client.close()


class Filling:
    """Warms up a tier until told to stop, and records the times of the events."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.filled = asyncio.Event()

    async def fill(self, sharer: Sharer, name: str) -> None:
        """Warm up the hot tier."""
        async with sharer.work.warm_up_lock(Tier.HOT):
            self.said.append(f"{name} begins")
            await self.filled.wait()
            self.said.append(f"{name} ends")


async def test_two_warm_up_one_after_the_other(two: list[Sharer]) -> None:
    """However long the first one takes, because its lock is renewed; another tier has another lock."""
    filling = Filling()
    first = asyncio.create_task(filling.fill(two[0], "first"))
    await until(lambda: filling.said == ["first begins"])
    second = asyncio.create_task(filling.fill(two[1], "second"))
    async with two[1].work.warm_up_lock(Tier.COLD):
        await asyncio.sleep(2.5)  # longer than a lock lives without renewal
    assert filling.said == ["first begins"]
    filling.filled.set()
    await asyncio.gather(first, second)
    assert filling.said == ["first begins", "first ends", "second begins", "second ends"]


async def test_a_stopped_warm_up_releases_the_lock(two: list[Sharer]) -> None:
    """At once, so that the next refresher can start."""
    filling = Filling()
    first = asyncio.create_task(filling.fill(two[0], "first"))
    await until(lambda: filling.said == ["first begins"])
    second = asyncio.create_task(filling.fill(two[1], "second"))
    first.cancel()
    await until(lambda: "second begins" in filling.said)
    filling.filled.set()
    await second
    assert first.cancelled()


async def test_the_lock_of_a_dead_refresher_expires(two: list[Sharer], redis_client: RedisClient) -> None:
    """Without renewal, so that the next refresher waits for a moment only."""
    key = f"{redis_client.prefix}filling:hot"
    async with two[0].work.warm_up_lock(Tier.HOT):
        left = await redis_client.redis.pttl(key)
        await redis_client.redis.set(key, "the dead one's", px=left)
    assert 0 < left <= 2000
    async with asyncio.timeout(DEADLINE), two[1].work.warm_up_lock(Tier.HOT):
        assert await redis_client.redis.get(key) != b"the dead one's"


async def test_without_redis_every_refresher_warms_up() -> None:
    """At once, without the lock."""
    sharer = Sharer(f"redis://127.0.0.1:{free_port()}/0", "", CATALOG, "one")
    async with asyncio.timeout(DEADLINE), sharer.work.warm_up_lock(Tier.HOT), sharer.work.warm_up_lock(Tier.HOT):
        pass
    await sharer.client.close()


async def test_redis_may_be_emptied_and_stop_during_a_warm_up(redis_alone: RedisServer) -> None:
    """The lock is lost, the warm-up goes on."""
    sharer = Sharer(redis_alone.url, "", CATALOG, "one")
    async with sharer.work.warm_up_lock(Tier.HOT):
        await sharer.client.redis.flushall()
        scripts = await _scripts_run(sharer.client)
        async with asyncio.timeout(DEADLINE):  # until it has tried to renew a lost lock, and then without Redis
            while await _scripts_run(sharer.client) == scripts:
                await asyncio.sleep(0.01)
            redis_alone.stop()
            async with hanging_up(redis_alone.port) as renewing:
                await renewing.wait()
    await sharer.client.close()


async def _scripts_run(client: RedisClient) -> int:
    """Return how many scripts Redis has run; a renewal of a lock is one."""
    stats = await client.redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_lag_is_how_long_the_oldest_unfinished_job_has_been_due(
    redis_alone: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is 0 when all jobs are done, grows while one waits or is under way, and is unknown while Redis is away."""
    monkeypatch.setattr(lags, "_SECONDS", 0.05)
    client = RedisClient(redis_alone.url, timeout=0.25)
    lag = JobLag(client, CATALOG, Sharer(redis_alone.url, "", CATALOG, "").metrics)
    group = Group(client, "aggregator:jobs:hot", "one")
    assert lag.by_tier == {}
    async with running(lag.run):
        await until(lambda: lag.by_tier == {Tier.HOT: 0.0})
        await group.read()  # creates the group
        await client.redis.xadd("aggregator:jobs:hot", {"symbols": "asset1"})
        await client.redis.xadd("aggregator:jobs:hot", {"symbols": "asset2"})
        for _ in range(2):
            await grows(lag)
            job = await group.read()
            assert job is not None
            await grows(lag)
            await group.acknowledge(job.id)
        await until(lambda: lag.by_tier == {Tier.HOT: 0.0})
        redis_alone.stop()
        await until(lambda: lag.by_tier == {})
        server = RedisServer(redis_alone.port)
        await until(lambda: lag.by_tier == {Tier.HOT: 0.0})
    await client.close()
    server.stop()


async def grows(lag: JobLag) -> None:
    """Wait until the lag has grown, by no more than the time since then."""
    started, before = time.monotonic(), lag.by_tier[Tier.HOT]
    await until(lambda: lag.by_tier[Tier.HOT] > before + 0.1)
    assert lag.by_tier[Tier.HOT] - before < time.monotonic() - started + allowed(1)
