"""Refreshers whose Redis' clock is set, and the ids that they make from its time."""

import asyncio

import pytest

from aggregator.cluster import jobs as shared_jobs
from aggregator.cluster import lag as lags
from aggregator.cluster.consumer_group import RedisClock
from aggregator.cluster.lag import JobLag
from aggregator.models import Tier
from aggregator.stores.redis.client import RedisClient
from tests.cluster.jobs.parts import (
    HOUR,
    INTERVAL,
    due_before,
    now,
    put,
    sharing,
)
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import DEADLINE, Sharer, all_jobs, assets_of, hot_catalog, running, until

pytestmark = pytest.mark.real


async def test_entries_from_the_future_do_not_stop_the_work(
    redis_running: RedisServer, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis takes no smaller id after them, so the process that measures the lag deletes the stream."""
    monkeypatch.setattr(lags, "_SECONDS", 0.1)
    catalog = hot_catalog(INTERVAL, 3)
    ahead = await now(redis_client) + HOUR
    await put(redis_client, "asset0", at=ahead)
    async with sharing(redis_running, 2, catalog, redis_client.prefix) as two:
        lag = JobLag(redis_client, catalog, two[0].metrics)
        async with running(lag.run):
            await until(lambda: len(assets_of(due_before(ahead, two))) == 3)


async def test_a_clock_set_back_does_not_stop_the_work(
    redis_running: RedisServer, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refreshers follow Redis' clock forward and back, and do not wait until the hour has passed again."""
    shift = [float(HOUR)]
    sync = RedisClock.sync

    async def shifted(clock: RedisClock) -> None:
        await sync(clock)
        clock._ahead += shift[0]

    monkeypatch.setattr(RedisClock, "sync", shifted)
    monkeypatch.setattr(shared_jobs, "_SYNC_SECONDS", 0.1)
    monkeypatch.setattr(lags, "_SECONDS", 0.1)
    catalog = hot_catalog(INTERVAL, 3)
    async with sharing(redis_running, 2, catalog, redis_client.prefix) as two:
        lag = JobLag(redis_client, catalog, two[0].metrics)
        async with running(lag.run):
            await until(lambda: bool(all_jobs(two)))
            ahead = await now(redis_client)
            shift[0] = 0.0
            await until(lambda: len(assets_of(due_before(ahead - HOUR / 2, two))) == 3)


async def test_jobs_are_claimed_after_the_clock_was_set_back(sharer: Sharer, redis_client: RedisClient) -> None:
    """The time of the next claim is by the monotonic clock."""
    sharer.work._clock._ahead += HOUR
    await put(redis_client, "asset0", at=sharer.work._clock.now())
    job = await sharer.work.next_job(Tier.HOT)  # after an attempt to claim one
    await sharer.work._clock.sync()
    async with asyncio.timeout(DEADLINE):
        assert await sharer.work.next_job(Tier.HOT) == job  # it is not acknowledged yet
    assert sharer.count("claimed") == 1


@pytest.mark.parametrize(("interval", "assets"), [(0.7, 16), (2.7, 16), (12.1, 16), (5, 16), (0.3, 1000)])
async def test_all_give_a_job_the_same_id_and_ids_grow(interval: float, assets: int) -> None:
    """Whenever the refreshers started, and however close together the jobs are."""
    start = 1_760_000_000.0
    ids = set()
    for came in range(50):
        sharer = Sharer("redis://127.0.0.1:1/0", "", hot_catalog(interval, assets), "one")
        sharer.work._clock = RedisClock(sharer.client, lambda came=came: start + came * 1.37)  # type: ignore[misc]
        sharer.work._clock._ahead = 0
        schedule = sharer.work._schedule_of(Tier.HOT)
        ids.add(tuple(shared_jobs._id(job.due) for job in schedule.pop_due(start + 100 + interval / 2)))
    (all_the_same,) = ids
    assert len(all_the_same) == assets
    numbers = [tuple(map(int, name.split("-"))) for name in all_the_same]
    assert numbers == sorted(set(numbers))
