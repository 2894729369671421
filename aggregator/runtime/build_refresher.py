"""The refreshing half of a process: exchanges, schedule, refresher and publisher."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aggregator.api.exchange_status import LocalStatus
from aggregator.api.server.server import STOP_SECONDS
from aggregator.cluster.jobs import SharedJobQueue
from aggregator.cluster.refresh_requests import RefreshRequests
from aggregator.cluster.status_board import StatusBoard, StatusReporter
from aggregator.cluster.venue_coverage import CoverageReporter
from aggregator.errors import StoreError
from aggregator.exchanges.monitored import MonitoredExchange
from aggregator.models import Tier
from aggregator.ports import Exchange, JobQueue
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresh_loop import RefreshLoop
from aggregator.prices.refresher import Policy, Refresher, most_in_job, seconds_together
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.venue_figures import VenueFigures
from aggregator.prices.venue_gauges import VenueGauges
from aggregator.resilience.group_commit import GroupCommit, Sinks
from aggregator.runtime.exchanges import open_exchanges
from aggregator.runtime.process import Process, RefreshPath, Stores
from aggregator.runtime.progress import warm_up_bar
from aggregator.settings import Settings
from aggregator.stores.redis.client import RedisClient

_DRAIN_SECONDS = 1.0  # for the history to write its backlog when the process stops
_RECALL_SECONDS = 2.0
_RECALL_BATCH = 1000  # symbols read from history at a time
_CALLERS = 4  # the hot, medium and cold schedules, and refreshes by hand; each has an equal share of the calls


async def open_venues(process: Process, stores: Stores) -> Sequence[Exchange]:
    """Open the exchanges of the settings and keep their listings and feeds up to date. Raises CannotGoOn.

    Call it before any part runs in the background; see `Process.keep_running`.
    """
    settings, catalog, coverage = process.settings, process.catalog, process.coverage
    opened = await open_exchanges(
        settings, catalog, stores.cache, process.metrics, process.stack, process.tracer, process.clock.now
    )
    assets = catalog.assets.values()
    opened.listings.listen(lambda: coverage.count(opened.all, assets, settings.min_sources))
    await process.keep_running(opened.listings)
    for feed in opened.feeds:
        await process.keep_running(feed)
    return opened.all


async def build_refresher(process: Process, stores: Stores, exchanges: Sequence[Exchange]) -> RefreshPath:
    """Return the refresh path of a process with exchanges: a refresher that also keeps every tier on its schedule.

    With Redis, it shares the schedule with other refreshers, serves the refresh requests of other processes, and
    reports the status and the coverage of its exchanges to them.
    """
    await process.keep_running(stores.history)
    process.stack.push_async_callback(stores.history.drain, _DRAIN_SECONDS)
    policy = _policy(process.settings)
    sinks = Sinks(
        GroupCommit("history", stores.history, process.metrics), GroupCommit("cache", stores.cache, process.metrics)
    )
    figures = VenueFigures()
    await process.keep_running(VenueGauges(figures, process.catalog, process.metrics))
    refresher = Refresher(
        process.catalog,
        exchanges,
        Publisher(stores.cache.newest, sinks, process.freshness, process.metrics, tracer=process.tracer),
        process.metrics,
        policy,
        process.clock,
        tracer=process.tracer,
        rejections=process.rejections,
        figures=figures,
    )
    process.stack.push_async_callback(refresher.close, STOP_SECONDS)
    schedule = _schedule(process, stores.redis, exchanges, policy)
    loop = RefreshLoop(
        process.catalog, schedule, stores.cache, refresher, process.freshness, process.metrics, process.clock.now
    )
    process.beside_server.append(_run_with_progress(loop, process))
    monitored = [MonitoredExchange(one, process.rejections, figures, process.coverage) for one in exchanges]
    if stores.redis is not None:
        _serve_cluster(process, stores.redis, refresher, monitored)
    return RefreshPath(refresher, LocalStatus(monitored), sinks)


async def recall_newest(process: Process, stores: Stores) -> None:
    """Read the newest prices from history, hottest tier first, so that no answer after a restart is older than before.

    The memory cache is empty after a restart, and the first ticker may come from an exchange whose clock is behind. A
    history that fails, or takes longer than two seconds, does not stop the start.
    """
    symbols = [asset.symbol for tier in Tier for asset in process.catalog.of(tier)]
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(_RECALL_SECONDS):
            for first in range(0, len(symbols), _RECALL_BATCH):
                found = await stores.history.latest(symbols[first : first + _RECALL_BATCH])
                for price in found.values():
                    stores.cache.newest.at_least(price)


def _schedule(process: Process, redis: RedisClient | None, exchanges: Sequence[Exchange], policy: Policy) -> JobQueue:
    """Return the schedule of refreshes: of this process alone, or shared with all refreshers on the same Redis."""
    most, together = most_in_job(exchanges, policy.concurrency), seconds_together(exchanges)
    if redis is None:
        return LocalJobQueue(process.catalog, most, together=together)
    abandoned = 2 * process.longest_refresh  # seconds after which another refresher takes over an unfinished job
    return SharedJobQueue(redis, process.catalog, most, process.metrics, process.name, abandoned, together)


def _serve_cluster(process: Process, redis: RedisClient, refresher: Refresher, exchanges: Sequence[Exchange]) -> None:
    """Serve the other processes on the same Redis: their refresh requests, exchange status, venue coverage."""
    catalog, name, patience = process.catalog, process.name, process.longest_refresh
    requests = RefreshRequests(redis, catalog, refresher, name, patience, process.tracer)
    status = StatusReporter(StatusBoard(redis), name, exchanges)
    process.beside_server += [requests.run(), status.run(), CoverageReporter(redis, process.coverage).run()]


async def _run_with_progress(loop: RefreshLoop, process: Process) -> None:
    with warm_up_bar(process.catalog) as advance:
        await loop.run(advance)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_deviation=settings.max_deviation,
        min_sources=settings.min_sources,
        max_weight=settings.max_weight,
        grace=settings.grace,
        concurrency=settings.exchange_concurrency // _CALLERS,
    )
