"""Refreshers that share their work through a real Redis: every job once, nobody's job lost, whatever goes away."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest

from aggregator.cluster import jobs as shared_jobs
from aggregator.cluster import lag as lags
from aggregator.cluster.clock import RedisClock
from aggregator.cluster.lag import JobLag
from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import RedisClient
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import Sharer, all_jobs, assets_of, hot_catalog, running, until
from tests.parts.streams import hanging_up

pytestmark = pytest.mark.real

INTERVAL = 0.6
HOUR = 3600


@pytest.fixture
async def sharer(redis_running: RedisServer, redis_client: RedisClient) -> AsyncIterator[Sharer]:
    """Open one that does nothing by itself."""
    sharer = Sharer(redis_running.url, redis_client.prefix, hot_catalog(INTERVAL, 3), "one", abandoned=0.2)
    yield sharer
    await sharer.client.close()


@pytest.fixture
async def alone(redis_alone: RedisServer) -> AsyncIterator[RedisClient]:
    """Connect to the Redis that the test may empty."""
    client = RedisClient(redis_alone.url, timeout=2)
    yield client
    await client.close()


@asynccontextmanager
async def sharing(
    server: RedisServer, count: int, catalog: Catalog, prefix: str = "aggregator:", busy: float = 0
) -> AsyncIterator[list[Sharer]]:
    """Run several."""
    sharers = [Sharer(server.url, prefix, catalog, f"refresher{number}", busy=busy) for number in range(count)]
    async with running(*(sharer.run for sharer in sharers)):
        yield sharers


def times(taken: Sequence[Job]) -> dict[str, list[int]]:
    """Return when each asset was due, in order and in milliseconds."""
    found: dict[str, list[int]] = defaultdict(list)
    for job in sorted(taken, key=lambda job: job.due):
        for symbol in job.symbols:
            found[symbol].append(round(job.due * 1000))
    return found


def assert_once_per_interval(taken: Sequence[Job], assets: int) -> None:
    """Each asset is due at every interval, neither twice nor not at all."""
    by_asset = times(taken)
    assert len(by_asset) == assets
    for due in by_asset.values():
        steps = [later - earlier for earlier, later in pairwise(due)]
        assert all(abs(step - INTERVAL * 1000) <= 1 for step in steps), due


def due_after(moment: float, sharers: Sequence[Sharer]) -> list[Job]:
    """Return the jobs that were due later."""
    return [job for job in all_jobs(sharers) if job.due > moment]


def due_before(moment: float, sharers: Sequence[Sharer]) -> list[Job]:
    """Return the jobs that were due earlier."""
    return [job for job in all_jobs(sharers) if job.due < moment]


async def now(client: RedisClient) -> float:
    """Return the time by Redis' clock."""
    clock = RedisClock(client)
    await clock.sync()
    return clock.now()


async def put(client: RedisClient, *symbols: str, at: float | None = None) -> None:
    """Put a job into the stream of hot jobs, due now unless told otherwise."""
    due = round((at or await now(client)) * 1000)
    await client.redis.xadd(f"{client.prefix}jobs:hot", {"symbols": ",".join(symbols)}, id=f"{due}-*")


async def pending(client: RedisClient) -> int:
    """Return how many hot jobs are taken and not done."""
    found = await client.redis.xpending(f"{client.prefix}jobs:hot", "refreshers")
    return int(found["pending"])


async def test_each_job_is_done_once_by_one_of_them(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """Over several intervals and three refreshers; afterwards nothing is unfinished."""
    async with sharing(redis_running, 3, hot_catalog(INTERVAL, 8), redis_client.prefix, busy=0.12) as three:
        await until(lambda: len(all_jobs(three)) >= 8 * 5)
        taken = all_jobs(three)
        assert sum(bool(one.jobs) for one in three) > 1  # as one alone is too busy for that
    assert_once_per_interval(taken, 8)
    assert sum(one.count("taken") for one in three) >= len(taken)
    assert not any(one.count(how) for one in three for how in ("own", "claimed", "outdated"))
    assert not any(one.work.pop_missed(Tier.HOT) for one in three)
    assert await pending(redis_client) <= 3  # what was just being done as they were stopped


async def test_streams_stay_short(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """Two intervals' jobs, and as much as Redis keeps together in one piece."""
    async with sharing(redis_running, 1, hot_catalog(0.3, 60), redis_client.prefix) as (one,):
        await until(lambda: len(one.jobs) > 60 * 8)
        assert await redis_client.redis.xlen(f"{redis_client.prefix}jobs:hot") < 60 * 4


async def test_who_joins_issues_nothing_old(redis_running: RedisServer, redis_client: RedisClient) -> None:
    """What was due before is filled already, or somebody else's to issue."""
    began = await now(redis_client)
    async with sharing(redis_running, 1, hot_catalog(INTERVAL, 3), redis_client.prefix) as (one,):
        await until(lambda: len(one.jobs) >= 3)
        assert one.jobs[0].due >= began - 0.001  # ids are whole milliseconds


async def test_jobs_of_a_dead_refresher_are_claimed(
    sharer: Sharer, redis_running: RedisServer, redis_client: RedisClient
) -> None:
    """By whoever looks once they are abandoned; done, they are nobody's."""
    dead = Sharer(redis_running.url, redis_client.prefix, hot_catalog(INTERVAL, 3), "dead")
    await put(redis_client, "asset1", "asset2", at=await now(redis_client) + 10)
    job = await dead.work.next_job(Tier.HOT)
    await dead.client.close()
    async with asyncio.timeout(10):
        claimed = await sharer.work.next_job(Tier.HOT)
    assert claimed == job
    assert claimed.symbols == ("asset1", "asset2")
    assert sharer.count("claimed") == 1
    assert await pending(redis_client) == 1
    await sharer.work.done(claimed)
    assert await pending(redis_client) == 0


async def test_an_outdated_job_is_dropped_and_counted(sharer: Sharer, redis_client: RedisClient) -> None:
    """Its assets have been due again since; the next one is done."""
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
    """What could not be done while Redis was away is not made up for, any more than a job from Redis."""
    began = await now(redis_client)
    old = Job(Tier.HOT, ("asset0", "asset1"), began - 2 * INTERVAL)
    sharer.work._states[Tier.HOT].own += [old, Job(Tier.HOT, ("asset2",), began + 10)]
    assert (await sharer.work.next_job(Tier.HOT)).symbols == ("asset2",)
    assert sharer.work.pop_missed(Tier.HOT) == 2


async def test_somebody_else_s_entries_harm_nobody(sharer: Sharer, redis_client: RedisClient) -> None:
    """They are jobs of nothing anybody lists."""
    stream = f"{redis_client.prefix}jobs:hot"
    await redis_client.redis.xadd(stream, {b"\xff": b"\xfe"})
    await redis_client.redis.xadd(stream, {b"symbols": b"\xff,asset1"})
    for symbols in (("",), ("\ufffd", "asset1")):
        job = await sharer.work.next_job(Tier.HOT)
        assert job.symbols == symbols
        await sharer.work.done(job)


async def test_a_key_of_another_type_counts_as_redis_being_away(
    redis_running: RedisServer, redis_client: RedisClient
) -> None:
    """Each does all by itself, until the key is gone."""
    key = f"{redis_client.prefix}jobs:hot"
    await redis_client.redis.set(key, "not a stream")
    lag = JobLag(redis_client, hot_catalog(INTERVAL, 3), Sharer(redis_running.url, "", hot_catalog(1, 1), "").metrics)
    async with running(lag.run), sharing(redis_running, 1, hot_catalog(INTERVAL, 3), redis_client.prefix) as (one,):
        await until(lambda: len(assets_of(one.jobs)) == 3)
        assert one.count("taken") == 0
        await redis_client.redis.delete(key)
        await until(lambda: one.count("taken") > 3)


async def test_an_emptied_redis_is_filled_again(redis_alone: RedisServer, alone: RedisClient) -> None:
    """FLUSHALL takes streams and groups; both are made again by whoever misses them."""
    async with sharing(redis_alone, 2, hot_catalog(INTERVAL, 4)) as two:
        await until(lambda: bool(all_jobs(two)))
        for _ in range(2):
            await alone.redis.flushall()
            flushed = await now(alone)
            await until(lambda flushed=flushed: len(assets_of(due_after(flushed, two))) == 4)  # type: ignore[misc]
        assert not any(one.count("outdated") for one in two)


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_without_redis_each_does_all_and_with_it_they_share_again(redis_alone: RedisServer, how: str) -> None:
    """Nobody waits for Redis to come back; when it does, every job is done once again."""
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
        assert_once_per_interval(shared_again(), 4)
    server.stop()


async def test_own_jobs_do_not_wait_for_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long Redis has been away: the pauses between attempts to reach it stay short."""
    monkeypatch.setattr(shared_jobs, "Backoff", partial(Backoff, first=HOUR))
    port = free_port()
    sharer = Sharer(f"redis://127.0.0.1:{port}/0", "", hot_catalog(INTERVAL, 1), "one")
    async with asyncio.timeout(10), hanging_up(port) as tried:
        taking = asyncio.create_task(sharer.work.next_job(Tier.HOT))
        await tried.wait()  # and so it will pause, before it looks for jobs of its own
        job = Job(Tier.HOT, ("asset0",), sharer.work._clock.now() + 10)
        sharer.work._states[Tier.HOT].own.append(job)
        assert await taking == job
    await sharer.client.close()


async def test_entries_from_the_future_do_not_stop_the_work(
    redis_running: RedisServer, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis takes no smaller id after them, so whoever measures the lag deletes the stream."""
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
    """Refreshers that have followed Redis' clock forth follow it back, and do not wait for the hour to pass again."""
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
    """The next look for them is by a clock that nobody sets."""
    sharer.work._clock._ahead += HOUR
    await put(redis_client, "asset0", at=sharer.work._clock.now())
    job = await sharer.work.next_job(Tier.HOT)  # having looked for what somebody has left
    await sharer.work._clock.sync()
    async with asyncio.timeout(10):
        assert await sharer.work.next_job(Tier.HOT) == job  # it is not done yet
    assert sharer.count("claimed") == 1


@pytest.mark.parametrize(("interval", "assets"), [(0.7, 16), (2.7, 16), (12.1, 16), (5, 16), (0.3, 1000)])
async def test_all_give_a_job_the_same_id_and_ids_grow(interval: float, assets: int) -> None:
    """Whenever each of them came, and however close together the jobs are."""
    start = 1_760_000_000.0
    ids = set()
    for came in range(50):
        sharer = Sharer("redis://127.0.0.1:1/0", "", hot_catalog(interval, assets), "one")
        sharer.work._clock = RedisClock(sharer.client, lambda came=came: start + came * 1.37)  # type: ignore[misc]
        sharer.work._clock._ahead = 0
        rota = sharer.work._schedule_of(Tier.HOT)
        ids.add(tuple(shared_jobs._id(job.due) for job in rota.pop_due(start + 100 + interval / 2)))
    (all_the_same,) = ids
    assert len(all_the_same) == assets
    numbers = [tuple(map(int, name.split("-"))) for name in all_the_same]
    assert numbers == sorted(set(numbers))
