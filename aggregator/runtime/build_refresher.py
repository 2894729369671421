"""The half of a process that asks the exchanges."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aggregator.api.server.server import STOP_SECONDS
from aggregator.cluster.jobs import SharedJobQueue
from aggregator.cluster.refresh_requests import RefreshRequests
from aggregator.cluster.status_board import StatusBoard, StatusReporter
from aggregator.cluster.venue_coverage import CoverageReporter
from aggregator.errors import StoreError
from aggregator.exchanges.wrapped import JudgedExchange
from aggregator.models import Tier
from aggregator.newest import NewestPrices
from aggregator.ports import Exchange, History, JobQueue, LocalCache
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresh_loop import RefreshLoop
from aggregator.prices.refresher import Policy, Refresher, most_in_job, seconds_together
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import Sinks
from aggregator.runtime.exchanges import open_exchanges
from aggregator.runtime.process import Process
from aggregator.runtime.progress import filling
from aggregator.settings import Settings
from aggregator.stores.redis.client import RedisClient

_DRAIN_SECONDS = 1.0
_RECALL_SECONDS = 2.0
_RECALLED_AT_ONCE = 1000
_LANES = 4  # hot, medium, cold, and by hand: each may use its share of an exchange's slots and no more


async def exchanges_of(process: Process, cache: LocalCache) -> Sequence[Exchange]:
    """Open what the settings name; its listings and feeds keep themselves up to date. Raises CannotGoOn."""
    settings, catalog, coverage = process.settings, process.catalog, process.coverage
    opened = await open_exchanges(
        settings, catalog, cache, process.metrics, process.stack, process.tracer, process.clock.now
    )
    assets = catalog.assets.values()
    opened.listings.listen(lambda: coverage.count(opened.all, assets, settings.min_sources))
    await process.keep_running(opened.listings)
    for feed in opened.feeds:
        await process.keep_running(feed)
    return opened.all


def judged(process: Process, exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Return the exchanges as /ready and the status board show them: with the reason why tickers are rejected."""
    return [JudgedExchange(one, process.rejections) for one in exchanges]


async def open_refresher(
    process: Process,
    redis: RedisClient | None,
    exchanges: Sequence[Exchange],
    cache: LocalCache,
    history: History,
    sinks: Sinks,
) -> Refresher:
    """Return what refreshes every asset, by itself once the process runs and whenever it is asked to.

    With Redis, others on the same Redis may ask as well, and hear of our exchanges.
    """
    await process.keep_running(history)
    process.stack.push_async_callback(history.drain, _DRAIN_SECONDS)
    policy = _policy(process.settings)
    work = _work(process, redis, most_in_job(exchanges, policy.concurrency), seconds_together(exchanges))
    refresher = Refresher(
        process.catalog,
        exchanges,
        Publisher(cache.newest, sinks, process.freshness, process.metrics, tracer=process.tracer),
        process.metrics,
        policy,
        process.clock,
        tracer=process.tracer,
        rejections=process.rejections,
    )
    process.stack.push_async_callback(refresher.close, STOP_SECONDS)
    loop = RefreshLoop(process.catalog, work, cache, refresher, process.freshness, process.metrics, process.clock.now)
    process.beside.append(_refresh(loop, process))
    if redis is not None:
        requests = RefreshRequests(
            redis, process.catalog, refresher, process.name, process.longest_refresh, process.tracer
        )
        teller = StatusReporter(StatusBoard(redis), process.name, judged(process, exchanges))
        process.beside += [requests.run(), teller.run(), CoverageReporter(redis, process.coverage).run()]
    return refresher


async def recall(newest: NewestPrices, history: History, catalog: Catalog) -> None:
    """Learn the newest prices from history, hottest first, so that a restart does not take readers back in time.

    The memory cache is empty after a restart, while exchanges whose clocks are behind may come first. A history that
    cannot be read, or takes longer than two seconds, does not stop the start.
    """
    symbols = [asset.symbol for tier in Tier for asset in catalog.of(tier)]
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(_RECALL_SECONDS):
            for first in range(0, len(symbols), _RECALLED_AT_ONCE):
                found = await history.latest(symbols[first : first + _RECALLED_AT_ONCE])
                for price in found.values():
                    newest.at_least(price)


def _work(process: Process, redis: RedisClient | None, most: int, together: float) -> JobQueue:
    if redis is None:
        return LocalJobQueue(process.catalog, most, together=together)
    abandoned = 2 * process.longest_refresh
    return SharedJobQueue(redis, process.catalog, most, process.metrics, process.name, abandoned, together)


async def _refresh(loop: RefreshLoop, process: Process) -> None:
    with filling(process.catalog) as on_warm_up:
        await loop.run(on_warm_up)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_deviation=settings.max_deviation,
        min_sources=settings.min_sources,
        max_weight=settings.max_weight,
        grace=settings.grace,
        concurrency=settings.exchange_concurrency // _LANES,
    )
