"""Refreshers that share their work through a real Redis: every job is done once, and no job is lost."""

import asyncio

import pytest

from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.stores.redis.client import RedisClient
from tests.cluster.jobs.parts import (
    INTERVAL,
    assert_once_per_interval,
    now,
    pending,
    put,
    sharing,
)
from tests.parts.limits import STRICT
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import DEADLINE, Sharer, all_jobs, hot_catalog, until

pytestmark = pytest.mark.real


async def test_each_job_is_done_once_by_one_of_them(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """Over several intervals and three refreshers; afterwards no job is pending."""
    patient = {"busy": 0.12, "redis_timeout": 5.0}  # on a busy machine, Redis is not away because it answers late
    async with sharing(redis_running, 3, hot_catalog(INTERVAL, 8), redis_client.prefix, **patient) as three:
        await until(lambda: len(all_jobs(three)) >= 8 * 5)
        taken = all_jobs(three)
        assert sum(bool(one.jobs) for one in three) > 1  # one refresher alone is too busy to do all
    missed = assert_once_per_interval(taken, 8, three)
    assert not (STRICT and missed)
    assert sum(one.count("taken") for one in three) >= len(taken)
    assert not any(one.count(how) for one in three for how in ("own", "claimed"))
    assert await pending(redis_client) <= 3  # the jobs under way when they were stopped


async def test_streams_stay_short(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """The stream has two intervals' jobs, and the rest of the node that Redis trims as a whole."""
    async with sharing(redis_running, 1, hot_catalog(0.6, 30), redis_client.prefix) as (one,):
        await until(lambda: len(one.jobs) > 30 * 12)
        assert await redis_client.redis.xlen(f"{redis_client.prefix}jobs:hot") < 30 * 6


async def test_a_new_refresher_adds_no_old_job(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """A job that was due before its start is part of the warm-up, or was added by another refresher."""
    began = await now(redis_client)
    async with sharing(redis_running, 1, hot_catalog(INTERVAL, 3), redis_client.prefix) as (one,):
        await until(lambda: len(one.jobs) >= 3)
        assert one.jobs[0].due >= began - 0.001  # ids are whole milliseconds


async def test_jobs_of_a_dead_refresher_are_claimed(
    sharer: Sharer, redis_running: RedisServer, redis_client: RedisClient
) -> None:
    """By another refresher after the time of abandonment; once done, they are not claimed again."""
    dead = Sharer(redis_running.url, redis_client.prefix, hot_catalog(INTERVAL, 3), "dead")
    await put(redis_client, "asset1", "asset2", at=await now(redis_client) + 10)
    job = await dead.work.next_job(Tier.HOT)
    await dead.client.close()
    async with asyncio.timeout(DEADLINE):
        claimed = await sharer.work.next_job(Tier.HOT)
    assert claimed == job
    assert claimed.symbols == ("asset1", "asset2")
    assert sharer.count("claimed") == 1
    assert await pending(redis_client) == 1
    await sharer.work.done(claimed)
    assert await pending(redis_client) == 0


async def test_an_outdated_job_is_dropped_and_counted(sharer: Sharer, redis_client: RedisClient) -> None:
    """Its assets have been due again since then; the next job is done."""
    began = await now(redis_client)
    await put(redis_client, "asset0", "asset1", at=began - 2 * INTERVAL)
    await put(redis_client, "asset2", at=began + 10)
    job = await sharer.work.next_job(Tier.HOT)
    assert job.symbols == ("asset2",)
    assert sharer.count("outdated") == 1
    assert sharer.work.pop_missed(Tier.HOT) == 2
    assert sharer.work.pop_missed(Tier.HOT) == 0
    await sharer.work.done(job)
    assert await pending(redis_client) == 0


async def test_an_outdated_job_of_its_own_is_dropped_and_counted(sharer: Sharer, redis_client: RedisClient) -> None:
    """Missed jobs from the time without Redis are dropped like those from Redis."""
    began = await now(redis_client)
    old = Job(Tier.HOT, ("asset0", "asset1"), began - 2 * INTERVAL)
    sharer.work._states[Tier.HOT].own += [old, Job(Tier.HOT, ("asset2",), began + 10)]
    assert (await sharer.work.next_job(Tier.HOT)).symbols == ("asset2",)
    assert sharer.work.pop_missed(Tier.HOT) == 2


async def test_foreign_entries_do_no_harm(sharer: Sharer, redis_client: RedisClient) -> None:
    """Entries that are not ours are read as jobs of unlisted assets."""
    stream = f"{redis_client.prefix}jobs:hot"
    await redis_client.redis.xadd(stream, {b"\xff": b"\xfe"})
    await redis_client.redis.xadd(stream, {b"symbols": b"\xff,asset1"})
    for symbols in (("",), ("\ufffd", "asset1")):
        job = await sharer.work.next_job(Tier.HOT)
        assert job.symbols == symbols
        await sharer.work.done(job)
