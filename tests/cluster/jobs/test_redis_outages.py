"""Refreshers whose Redis stops, hangs, is emptied, or has another value under the key of a stream."""

import asyncio
import signal
from functools import partial

import pytest

from aggregator.cluster import jobs as shared_jobs
from aggregator.cluster.lag import JobLag
from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import RedisClient
from tests.cluster.jobs.parts import (
    HOUR,
    INTERVAL,
    assert_once_per_interval,
    due_after,
    now,
    sharing,
)
from tests.parts.limits import STRICT
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import DEADLINE, Sharer, all_jobs, assets_of, hot_catalog, running, until
from tests.parts.streams import hanging_up

pytestmark = pytest.mark.real


async def test_a_key_of_another_type_counts_as_redis_being_away(
    redis_running: RedisServer, redis_client: RedisClient
) -> None:
    """Each refresher does every job itself until the key is deleted."""
    key = f"{redis_client.prefix}jobs:hot"
    await redis_client.redis.set(key, "not a stream")
    lag = JobLag(redis_client, hot_catalog(INTERVAL, 3), Sharer(redis_running.url, "", hot_catalog(1, 1), "").metrics)
    async with running(lag.run), sharing(redis_running, 1, hot_catalog(INTERVAL, 3), redis_client.prefix) as (one,):
        await until(lambda: len(assets_of(one.jobs)) == 3)
        assert one.count("taken") == 0
        await redis_client.redis.delete(key)
        await until(lambda: one.count("taken") > 3)


async def test_an_emptied_redis_is_filled_again(redis_alone: RedisServer, alone: RedisClient) -> None:
    """FLUSHALL deletes streams and groups; the refreshers create both again."""
    async with sharing(redis_alone, 2, hot_catalog(INTERVAL, 4)) as two:
        await until(lambda: bool(all_jobs(two)))
        for _ in range(2):
            await alone.redis.flushall()
            flushed = await now(alone)
            await until(lambda flushed=flushed: len(assets_of(due_after(flushed, two))) == 4)  # type: ignore[misc]
        # A machine that stands still for an interval leaves outdated jobs, too.
        assert not (STRICT and any(one.count("outdated") for one in two))


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_without_redis_each_does_all_and_with_it_they_share_again(redis_alone: RedisServer, how: str) -> None:
    """No refresher waits for Redis; when Redis is back, every job is done once again."""
    server = redis_alone
    async with sharing(server, 2, hot_catalog(INTERVAL, 4)) as two:
        await until(lambda: bool(all_jobs(two)))
        if how == "stopped":
            server.stop()
        else:
            server.process.signal(signal.SIGSTOP)
        await until(lambda: all(len(assets_of(job for job in one.jobs if not job.id)) == 4 for one in two))
        assert all(one.count("own") >= 4 for one in two)
        if how == "stopped":
            server = RedisServer(server.port)
        else:
            server.process.signal(signal.SIGCONT)

        def shared_again() -> list[Job]:
            last = max(job.due for job in all_jobs(two) if not job.id)
            return due_after(last + INTERVAL, two)

        await until(lambda: len(shared_again()) >= 4 * 3)
        assert_once_per_interval(shared_again(), 4, two)
    server.stop()


async def test_own_jobs_do_not_wait_for_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts to reach Redis stay short, however long Redis has been away."""
    monkeypatch.setattr(shared_jobs, "Backoff", partial(Backoff, first=HOUR))
    port = free_port()
    sharer = Sharer(f"redis://127.0.0.1:{port}/0", "", hot_catalog(INTERVAL, 1), "one")
    async with asyncio.timeout(DEADLINE), hanging_up(port) as tried:
        taking = asyncio.create_task(sharer.work.next_job(Tier.HOT))
        await tried.wait()  # so it pauses before it takes a job of its own
        job = Job(Tier.HOT, ("asset0",), sharer.work._clock.now() + 10)
        sharer.work._states[Tier.HOT].own.append(job)
        assert await taking == job
    await sharer.client.close()
