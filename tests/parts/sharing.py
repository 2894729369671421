"""Several refreshers that share jobs through Redis, in one event loop: each has its own connection and cache."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from aggregator.cluster.jobs import SharedJobQueue
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Job
from aggregator.prices.tiers import Cadence, Catalog, assign
from aggregator.stores.redis.client import RedisClient

DEADLINE = 120  # seconds


def hot_catalog(interval: float, assets: int) -> Catalog:
    """Return a catalog of hot assets only."""
    cadence = dict.fromkeys(Tier, Cadence(interval))
    return assign([(f"asset{number}", "", "") for number in range(assets)], assets, 0, cadence)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Poll until a condition holds or the deadline passes."""
    async with asyncio.timeout(DEADLINE):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*parts: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run a never-ending coroutine beside the block; its exception fails the test."""
    async with asyncio.TaskGroup() as group:

        async def run(part: Callable[[], Awaitable[None]]) -> None:
            await part()

        tasks = [group.create_task(run(part)) for part in parts]
        yield
        for task in tasks:
            task.cancel()


class Sharer:
    """One of several refreshers of the hot tier: takes one job after the other and spends `busy` seconds on each."""

    def __init__(
        self,
        url: str,
        prefix: str,
        catalog: Catalog,
        name: str,
        *,
        most: int = 1,
        abandoned: float = 8,
        busy: float = 0,
        timeout: float = 0.25,
    ) -> None:
        self.client = RedisClient(url, timeout=timeout, prefix=prefix)
        self.metrics = Metrics(CollectorRegistry())
        self.work = SharedJobQueue(self.client, catalog, most, self.metrics, name, abandoned)
        self.jobs: list[Job] = []
        self._busy = busy

    async def run(self) -> None:
        """Refresh until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.work.run())
                group.create_task(self._take())
        finally:
            await self.client.close()

    async def _take(self) -> None:
        while True:
            job = await self.work.next_job(Tier.HOT)
            self.jobs.append(job)
            await asyncio.sleep(self._busy)
            await self.work.done(job)

    def count(self, how: str) -> float:
        """Return `price_jobs_total` of hot jobs."""
        return self.metrics.registry.get_sample_value("price_jobs_total", {"tier": "hot", "how": how}) or 0


def all_jobs(sharers: Sequence[Sharer]) -> list[Job]:
    """Return the jobs that all refreshers have done."""
    return [job for one in sharers for job in one.jobs]


def assets_of(jobs: Iterable[Job]) -> set[str]:
    """Return the assets of jobs."""
    return {symbol for job in jobs for symbol in job.symbols}
