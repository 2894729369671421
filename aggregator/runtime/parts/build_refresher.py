"""The refreshing half of a process: exchanges, schedule, refresher and publisher."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from aggregator.api.server.server import STOP_SECONDS
from aggregator.api.status.exchange_status import LocalStatus
from aggregator.cluster.feed_lease import FeedLease
from aggregator.cluster.jobs import SharedJobQueue
from aggregator.cluster.refresh_requests import RefreshRequests
from aggregator.cluster.status_board import StatusBoard, StatusReporter
from aggregator.cluster.venue_coverage import CoverageReporter
from aggregator.errors import StoreError
from aggregator.exchanges.monitored import MonitoredExchange
from aggregator.exchanges.push.trade_feed import TradeSinks
from aggregator.models import Tier
from aggregator.ports import Exchange, JobQueue, Sink
from aggregator.prices.price_maker import PriceMaker, PricingPolicy
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresh_loop import RefreshLoop
from aggregator.prices.refresher import Refresher, most_in_job, seconds_together
from aggregator.prices.repricer import Repricer
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.venue_figures import VenueFigures
from aggregator.prices.venue_gauges import VenueGauges
from aggregator.resilience.group_commit import GroupCommit, Sinks
from aggregator.runtime.parts.build_outlets import behind_history, hand_over_newest
from aggregator.runtime.parts.exchanges import open_exchanges
from aggregator.runtime.process import Process, RefreshPath, Stores
from aggregator.runtime.progress import warm_up_bar
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.thinned_history import ThinnedHistory

_DRAIN_SECONDS = 1.0  # for the history to write its backlog when the process stops
_RECALL_SECONDS = 2.0
_RECALL_BATCH = 100  # symbols; few, as DynamoDB is asked for each, and what is read when the time is over counts
_CALLERS = 4  # the hot, medium and cold schedules, and refreshes by hand; each has an equal share of the calls


class Venues(msgspec.Struct, frozen=True):
    """The opened exchanges. `lease` is None where no other process could subscribe to their feeds too."""

    exchanges: Sequence[Exchange]
    lease: FeedLease | None

    def owns(self, tier: Tier) -> bool:
        """Whether this process takes the shared jobs of the tier. The holder of the feeds takes the hot ones."""
        return tier is not Tier.HOT or self.lease is None or self.lease.held


async def open_venues(process: Process, stores: Stores, trades: TradeSinks | None = None) -> Venues:
    """Open the exchanges of the settings and keep their listings and feeds up to date. Raises CannotGoOn.

    Their trades, if the settings ask for these, go into `trades`.

    Call it before any part runs in the background; see `Process.keep_running`.
    """
    settings, catalog, coverage = process.settings, process.catalog, process.coverage
    lease = None if stores.redis is None else FeedLease(stores.redis)
    opened = await open_exchanges(
        settings,
        catalog,
        stores.cache,
        process.metrics,
        process.stack,
        process.tracer,
        process.clock.now,
        lambda: lease is None or lease.held,
        trades,
    )
    assets = catalog.assets.values()
    opened.listings.listen(lambda: coverage.count(opened.all, assets, settings.min_sources))
    await process.keep_running(opened.listings)
    for feed in (*opened.feeds, *opened.trade_feeds):
        await process.keep_running(feed)
    if lease is None or not (opened.feeds or opened.trade_feeds):
        return Venues(opened.all, None)
    await process.keep_running(lease)  # closed before the feeds, so that another process may subscribe at once
    return Venues(opened.all, lease)


async def build_refresher(process: Process, stores: Stores, venues: Venues) -> RefreshPath:
    """Return the refresh path of a process with exchanges: a refresher that also keeps every tier on its schedule.

    With Redis, it shares the schedule with other refreshers, serves the refresh requests of other processes, and
    reports the status and the coverage of its exchanges to them.
    """
    await process.keep_running(stores.history)
    process.stack.push_async_callback(stores.history.drain, _DRAIN_SECONDS)
    await hand_over_newest(process, stores.history)
    settings, exchanges = process.settings, venues.exchanges
    history: Sink = stores.history if process.archive is None else process.archive.prices(stores.history)
    if settings.history_min_gap:
        history = await _thinned(process, history)
    sinks = Sinks(
        GroupCommit("history", behind_history(process, history), process.metrics),
        GroupCommit("cache", stores.cache, process.metrics),
    )
    figures = VenueFigures()
    await process.keep_running(VenueGauges(figures, process.catalog, process.metrics))
    maker = PriceMaker(
        [exchange.name for exchange in exchanges],
        process.catalog.cadence,
        Publisher(
            stores.cache.newest, sinks, process.freshness, process.metrics, process.clock.now, tracer=process.tracer
        ),
        process.metrics,
        PricingPolicy(settings.max_deviation, settings.min_sources, settings.max_weight),
        process.clock,
        rejections=process.rejections,
        figures=figures,
    )
    concurrency = settings.exchange_concurrency // _CALLERS
    refresher = Refresher(
        exchanges, maker, process.metrics, settings.min_sources, settings.grace, concurrency, tracer=process.tracer
    )
    process.stack.push_async_callback(refresher.close, STOP_SECONDS)
    process.beside_server.append(Repricer(process.catalog, exchanges, maker, settings.push_debounce).run())
    schedule = _schedule(process, stores.redis, venues, concurrency)
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
    history that fails, or takes longer than two seconds, does not stop the start; the prices read until then are known.
    """
    symbols = [asset.symbol for tier in Tier for asset in process.catalog.of(tier)]
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(_RECALL_SECONDS):
            for first in range(0, len(symbols), _RECALL_BATCH):
                found = await stores.history.latest(symbols[first : first + _RECALL_BATCH])
                for price in found.values():
                    stores.cache.newest.at_least(price)


async def _thinned(process: Process, history: Sink) -> Sink:
    """Return a sink in front of the history that passes on the last price of each gap."""
    thinned = ThinnedHistory(history, process.settings.history_min_gap, process.clock.now)
    process.stack.push_async_callback(thinned.close)
    await process.keep_running(thinned)
    return thinned


def _schedule(process: Process, redis: RedisClient | None, venues: Venues, concurrency: int) -> JobQueue:
    """Return the schedule of refreshes: of this process alone, or shared with all refreshers on the same Redis."""
    most, together = most_in_job(venues.exchanges, concurrency), seconds_together(venues.exchanges)
    if redis is None:
        return LocalJobQueue(process.catalog, most, together=together)
    abandoned = 2 * process.longest_refresh  # seconds after which another refresher takes over an unfinished job
    return SharedJobQueue(
        redis, process.catalog, most, process.metrics, process.name, abandoned, together, takes=venues.owns
    )


def _serve_cluster(process: Process, redis: RedisClient, refresher: Refresher, exchanges: Sequence[Exchange]) -> None:
    """Serve the other processes on the same Redis: their refresh requests, exchange status, venue coverage."""
    catalog, name, patience = process.catalog, process.name, process.longest_refresh
    requests = RefreshRequests(redis, catalog, refresher, name, patience, process.tracer)
    status = StatusReporter(StatusBoard(redis), name, exchanges)
    process.beside_server += [requests.run(), status.run(), CoverageReporter(redis, process.coverage).run()]


async def _run_with_progress(loop: RefreshLoop, process: Process) -> None:
    with warm_up_bar(process.catalog) as advance:
        await loop.run(advance)
