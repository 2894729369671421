"""Refreshers that share a job queue, and what their tests ask of the jobs they have done."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

from aggregator.cluster.consumer_group import RedisClock
from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.prices.tiers import Catalog
from aggregator.stores.redis.client import RedisClient
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import Sharer, all_jobs, running

INTERVAL = 0.6
HOUR = 3600


@asynccontextmanager
async def sharing(
    server: RedisServer,
    count: int,
    catalog: Catalog,
    prefix: str = "aggregator:",
    busy: float = 0,
    redis_timeout: float = 0.25,
) -> AsyncIterator[list[Sharer]]:
    """Run `count` refreshers; `redis_timeout` is that of a call, in seconds."""
    names = [f"refresher{number}" for number in range(count)]
    sharers = [Sharer(server.url, prefix, catalog, name, busy=busy, timeout=redis_timeout) for name in names]
    async with running(*(sharer.run for sharer in sharers)):
        yield sharers


def times(taken: Sequence[Job]) -> dict[str, list[int]]:
    """Return the due times of each asset, sorted, in milliseconds."""
    found: dict[str, list[int]] = defaultdict(list)
    for job in sorted(taken, key=lambda job: job.due):
        for symbol in job.symbols:
            found[symbol].append(round(job.due * 1000))
    return found


def assert_once_per_interval(taken: Sequence[Job], assets: int, sharers: Sequence[Sharer]) -> float:
    """Assert that each asset was done once in every interval, and that the refreshers account for every gap.

    A machine that stands still for an interval misses jobs, and then counts them. Each refresher may also hold one job
    that it has not done yet. Return how many were missed.
    """
    by_asset, interval = times(taken), INTERVAL * 1000
    assert len(by_asset) == assets
    steps = [later - earlier for due in by_asset.values() for earlier, later in pairwise(due)]
    places = [round(step / interval) for step in steps]
    assert all(place > 0 and abs(step - place * interval) <= 1 for step, place in zip(steps, places, strict=True)), (
        steps
    )
    missed = sum(one.work.pop_missed(Tier.HOT) + one.count("outdated") for one in sharers)
    assert sum(place - 1 for place in places) <= missed + len(sharers), by_asset
    return missed


def due_after(moment: float, sharers: Sequence[Sharer]) -> list[Job]:
    """Return the jobs that were due after the moment."""
    return [job for job in all_jobs(sharers) if job.due > moment]


def due_before(moment: float, sharers: Sequence[Sharer]) -> list[Job]:
    """Return the jobs that were due before the moment."""
    return [job for job in all_jobs(sharers) if job.due < moment]


async def now(client: RedisClient) -> float:
    """Return the time by Redis' clock."""
    clock = RedisClock(client)
    await clock.sync()
    return clock.now()


async def put(client: RedisClient, *symbols: str, at: float | None = None) -> None:
    """Add a job to the stream of hot jobs, due at `at` or now."""
    due = round((at or await now(client)) * 1000)
    await client.redis.xadd(f"{client.prefix}jobs:hot", {"symbols": ",".join(symbols)}, id=f"{due}-*")


async def pending(client: RedisClient) -> int:
    """Return how many hot jobs are taken and not acknowledged."""
    found = await client.redis.xpending(f"{client.prefix}jobs:hot", "refreshers")
    return int(found["pending"])
