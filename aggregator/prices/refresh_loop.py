"""Keeps every asset's price fresh: each tier is warmed up once, and refreshed by its schedule from then on.

Each tier has a concurrency limit of its own, so that a tier whose exchanges hang does not delay another one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from aggregator.errors import StoreError
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Job, JobQueue, LocalCache
from aggregator.prices.freshness import Freshness
from aggregator.prices.refresher import Refresher
from aggregator.prices.tiers import Catalog
from aggregator.prices.warmup import OnWarmUp, WarmUp


class RefreshLoop:
    """Hands the jobs of `queue`, and before them the assets of the warm-up, to the refresher."""

    def __init__(
        self,
        catalog: Catalog,
        queue: JobQueue,
        cache: LocalCache,
        refresher: Refresher,
        freshness: Freshness,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._queue = queue
        self._cache = cache
        self._refresher = refresher
        self._freshness = freshness
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._slots = {tier: asyncio.Semaphore(refresher.jobs_at_a_time) for tier in Tier}
        self._log = structlog.get_logger()

    async def run(self, on_warm_up: OnWarmUp) -> None:
        """Warm up hot, then medium, then cold; a tier's schedule starts with its warm-up. Never returns.

        `on_warm_up` receives a tier and how many more of its assets have been refreshed for the first time.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            for tier in Tier:
                if self._catalog.of(tier):
                    interval = self._catalog.cadence[tier].interval
                    warm_up = WarmUp(self._queue, tier, self._refresher.most_in_job, interval, self._clock)
                    await self._start_tier(warm_up, group, on_warm_up)
                    group.create_task(warm_up.retry())

    async def _start_tier(self, warm_up: WarmUp, group: asyncio.TaskGroup, on_warm_up: OnWarmUp) -> None:
        """Start the tier's schedule in `group`, and wait for its warm-up.

        Assets with a fresh price in the cache, from before a restart or from another refresher, need no warm-up.
        """
        tier = warm_up.tier
        async with self._queue.warm_up_lock(tier):
            assets = self._catalog.of(tier)
            fresh = await self._fresh(tier, assets)
            on_warm_up(tier, len(fresh))
            if fresh:
                self._log.info("tier_found_fresh", tier=tier.value, assets=len(fresh))
            group.create_task(self._do_jobs(warm_up))
            await warm_up.run([asset.symbol for asset in assets if asset.symbol not in fresh], on_warm_up)

    async def _fresh(self, tier: Tier, assets: Sequence[Asset]) -> set[str]:
        """Return the symbols whose price in the cache is at most half an interval old; none while the cache fails."""
        try:
            cached = await self._cache.latest([asset.symbol for asset in assets])
        except StoreError:
            return set()
        self._freshness.receive(list(cached.values()))
        oldest = self._now() - self._catalog.cadence[tier].interval / 2
        return {price.asset for price in cached.values() if price.timestamp >= oldest}

    async def _do_jobs(self, warm_up: WarmUp) -> None:
        """Do the tier's jobs for ever. A job is taken only once a slot is free: another refresher may be waiting."""
        tier = warm_up.tier
        missed = self._metrics.refresh_missed.labels(tier.value)
        async with asyncio.TaskGroup() as running:
            while True:
                await self._slots[tier].acquire()
                job, symbols = await warm_up.next_job(running)
                missed.inc(self._queue.pop_missed(tier))
                running.create_task(self._do(warm_up, job, symbols))

    async def _do(self, warm_up: WarmUp, job: Job | None, symbols: Sequence[str]) -> None:
        """Refresh the symbols of a job, or of the warm-up; free the slot that was acquired for them."""
        try:
            assets = [asset for symbol in symbols if (asset := self._catalog.find(symbol))]
            outcomes = await self._refresher.refresh_together(assets)
        finally:
            self._slots[warm_up.tier].release()
        warm_up.record(symbols, outcomes)
        if job is not None:
            await self._queue.done(job)
