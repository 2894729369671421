"""The answering half of a process: the routes, the live streams and the fast path; or the operational routes alone."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp

from aggregator.alerts.rule_book import RuleBook
from aggregator.api.access.keys import Keys
from aggregator.api.access.throttle import Recheck, Throttle
from aggregator.api.app import build
from aggregator.api.events.alerts import AlertRoutes
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path.get import FastPath
from aggregator.api.fast_path.ingest import IngestFastPath
from aggregator.api.guide import GuideRoutes
from aggregator.api.pages import BrowserRoutes
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.prices.history import HistoryRoutes
from aggregator.api.prices.refresh import RefreshRoute
from aggregator.api.prices.routes import PriceRoutes
from aggregator.api.prices.snapshots import PriceSnapshots
from aggregator.api.prices.sources import SourcesRoute
from aggregator.api.prices.sparklines import SparklineRoutes
from aggregator.api.routing.route import Route
from aggregator.api.server.server import STOP_SECONDS
from aggregator.api.status.exchange_status import LocalStatus
from aggregator.api.status.exchanges import ExchangeRoutes
from aggregator.api.status.ops import OpsRoutes
from aggregator.api.streams.socket import SocketRoute
from aggregator.api.streams.stream import StreamRoute
from aggregator.api.tracing_middleware import traced
from aggregator.api.trades.features import FeatureRoutes
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.api.trades.ingest import IngestRoute
from aggregator.api.trades.routes import TradeRoutes
from aggregator.api.trades.snapshots import trade_snapshots
from aggregator.api.trades.trades_off import routes_without_ingest, routes_without_stored_trades
from aggregator.api.udf.routes import UdfRoutes
from aggregator.cluster.popularity_scores import RedisScores
from aggregator.exchanges.push.trade_feed import TradeSinks
from aggregator.exchanges.targets import has_mock
from aggregator.live.fanout import Fanout
from aggregator.live.price_topic import PRICES, PricePresenter
from aggregator.live.snapshots import Snapshots, SnapshotSource
from aggregator.newest import NewestPrices
from aggregator.observability.tracing import UNTRACED
from aggregator.ports import OutletStates, Refresh
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts, LocalScores, Ranking
from aggregator.runtime.parts.access_policy import policy_of
from aggregator.runtime.parts.analytics.analytics_routes import analytics_routes, model_states
from aggregator.runtime.parts.analytics.build_analytics import EventStores
from aggregator.runtime.parts.archive_reads import StoredReads, with_archive
from aggregator.runtime.parts.cluster import Cluster
from aggregator.runtime.parts.trades.build_trades import TradeStream
from aggregator.runtime.parts.trades.shared_trades import TradeReads
from aggregator.runtime.process import Process, RefreshPath, Stores
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import LiveTrades


async def build_api(
    process: Process,
    stores: Stores,
    path: RefreshPath,
    cluster: Cluster | None,
    reads: TradeReads,
    sinks: TradeSinks | None,
    events: EventStores,
    rules: RuleBook | None = None,
    trades: TradeStream | None = None,
) -> ASGIApp:
    """Return the application with every route.

    Without `sinks`, no trades can be sent to this process; without `rules`, none can be kept; without `trades`, it
    processes none.
    """
    settings, catalog, metrics, clock = process.settings, process.catalog, process.metrics, process.clock
    now, history = clock.now, stores.history
    policy = policy_of(settings)
    accesses = await _rank(process, cluster)
    bodies = PriceBodies(catalog, now, policy.vary)
    lookup = Lookup(
        catalog,
        stores.cache,
        history,
        path.refresh,
        metrics,
        accesses,
        now,
        clock_repeats=lambda: clock.repeats,
    )
    process.stack.push_async_callback(lookup.close, STOP_SECONDS)
    throttle, recheck = _bound_refreshes(process, path.refresh)
    figures = FiguresKeeper(catalog, history, now)
    process.bus.listen(PRICES, figures)
    await process.keep_running(figures)
    analytics = () if trades is None else trades.analytics
    hot = HotTrades(reads.live, policy.vary, model_states(process, analytics))
    old = with_archive(process, history, reads.stored)
    guide = GuideRoutes()
    routes = [
        *PriceRoutes(catalog, lookup, bodies, figures).routes(),
        *SparklineRoutes(catalog, figures, now).routes(),
        *SourcesRoute(catalog, lookup, bodies, recheck).routes(),
        *RefreshRoute(catalog, lookup, throttle, bodies).routes(),
        *HistoryRoutes(catalog, old.history, now, old.seconds).routes(),
        *CandlesRoute(catalog, old.history, now, old.seconds, old.trades).routes(),
        *ExchangeRoutes(catalog, path.exchanges, now).routes(),
        *UdfRoutes(catalog, history, now, trades=reads.stored).routes(),
        *_live_routes(process, lookup, stores.cache.newest, bodies, reads),
        *_trade_routes(process, old, hot, sinks, policy.keys),
        *analytics_routes(process, events, analytics),
        *AlertRoutes(
            catalog, rules, events.events, now, outlets=[one.name for one in settings.outlet_addresses]
        ).routes(),
        *BrowserRoutes(has_guide=guide.is_built, invented_market=has_mock(settings.exchanges)).routes(),
        *guide.routes(),
        *_ops(process, stores, path, cluster, trades),
    ]
    app = build(routes, metrics, settings.max_in_flight, policy)
    if not settings.fast_path:
        return traced(app, process.tracer, app.label_of)
    buffered = BufferedMetrics(metrics, accesses, FreshnessMetrics(catalog, metrics))
    await process.keep_running(buffered)
    is_open = not (settings.api_keys or settings.read_keys) and settings.ingest_rate is None
    if sinks is not None and is_open and process.tracer is UNTRACED:
        parse_seconds = metrics.trades.stage_seconds.labels("parse").inc
        process.handler = IngestFastPath(Parser(catalog.find), sinks.log, buffered, now, policy, parse_seconds)
    fast_path = FastPath(app, catalog, stores.cache, bodies, buffered, now, policy, hot)
    needs_address = policy.keys.reads_need_one and settings.trusted_proxies  # which only a middleware reads
    if process.tracer is UNTRACED and not needs_address:
        process.respond = fast_path.respond
    return traced(fast_path, process.tracer, app.label_of)


async def build_ops_api(
    process: Process, stores: Stores, path: RefreshPath, cluster: Cluster | None, trades: TradeStream | None = None
) -> ASGIApp:
    """Return the application of a process that serves no prices: /assets, /health, /ready and /metrics.

    With `trades`, it is ready while it can process them.
    """
    await _rank(process, cluster)
    routes = _ops(process, stores, path, cluster, trades)
    app = build(routes, process.metrics, process.settings.max_in_flight, policy_of(process.settings))
    return traced(app, process.tracer, app.label_of)


def build_stream_api(process: Process, stream: LiveTrades) -> ASGIApp:
    """Return the application of a process without stores and prices: /assets, /health, /ready and /metrics."""
    routes = OpsRoutes(
        process.catalog,
        {},
        (),
        LocalStatus(()),
        process.coverage,
        process.freshness,
        None,
        process.metrics,
        clock=process.clock,
        trades=stream,
        needs_prices=False,
        outlets=_outlet_states(process),
    ).routes()
    app = build(routes, process.metrics, process.settings.max_in_flight, policy_of(process.settings))
    return traced(app, process.tracer, app.label_of)


def _outlet_states(process: Process, cluster: Cluster | None = None) -> Callable[[], OutletStates]:
    """Return the state of the outlets of this process; without any, of those that other processes report."""
    if (outlets := process.outlets) is not None:
        return lambda: outlets.states
    return OutletStates if cluster is None else lambda: cluster.outlets.states


def _ops(
    process: Process, stores: Stores, path: RefreshPath, cluster: Cluster | None, trades: TradeStream | None = None
) -> list[Route]:
    ops = OpsRoutes(
        process.catalog,
        {"cache": stores.cache, "history": stores.history},
        path.sinks,
        path.exchanges,
        process.coverage,
        process.freshness,
        None if cluster is None else cluster.lag,
        process.metrics,
        clock=process.clock,
        trades=None if trades is None else trades.processor,
        needs_prices=process.settings.role != "processor",
        invented_market=has_mock(process.settings.exchanges),
        outlets=_outlet_states(process, cluster),
        archive=str if process.archive is None else process.archive.problem,
    )
    return [*ops.routes()]


def _trade_routes(
    process: Process, reads: StoredReads, hot: HotTrades, sinks: TradeSinks | None, keys: Keys
) -> list[Route]:
    """Return the routes of the trade stream; those that need a part that is not here refuse every request."""
    catalog, now = process.catalog, process.clock.now
    reader = reads.trades or MemoryTrades(process.settings.trades_retention, now)  # an empty one
    routes = TradeRoutes(catalog, reader, hot, now, reads.seconds).routes()
    if reads.trades is None:
        routes = routes_without_stored_trades(routes)
    return [*_ingest(process, sinks, keys), *routes, *FeatureRoutes(catalog, hot).routes()]


def _ingest(process: Process, sinks: TradeSinks | None, keys: Keys) -> list[Route]:
    if sinks is None:
        return routes_without_ingest()
    return IngestRoute(
        Parser(process.catalog.find),
        sinks.log,
        sinks.dead_letters,
        process.metrics.trades,
        process.settings.ingest_rate,
        process.clock.now,
        keys=keys,
    ).routes()


async def _rank(process: Process, cluster: Cluster | None) -> AccessCounts:
    """Return the counter of reads by asset; with popular tiering, keep ranking the assets by it."""
    settings = process.settings
    popular = settings.tiering == "popular"
    accesses = AccessCounts(process.metrics, by_symbol=popular)
    if popular:
        scores = LocalScores(time.monotonic) if cluster is None else RedisScores(cluster.redis)
        pinned, interval = frozenset(settings.pinned), settings.rank_interval
        await process.keep_running(Ranking(process.catalog, accesses, scores, pinned, interval, process.metrics))
    return accesses


def _bound_refreshes(process: Process, refresh: Refresh) -> tuple[Throttle, Recheck]:
    """Return the bounds on refreshes that clients cause: by POST /refresh, and by reading an old price."""
    settings, stack = process.settings, process.stack
    throttle = Throttle(refresh, settings.refresh_cooldown, settings.refresh_rate)
    stack.push_async_callback(throttle.close, STOP_SECONDS)
    recheck = Recheck(refresh, settings.refresh_rate)
    stack.push_async_callback(recheck.close, STOP_SECONDS)
    return throttle, recheck


def _live_routes(
    process: Process, lookup: Lookup, newest: NewestPrices, bodies: PriceBodies, reads: TradeReads
) -> list[Route]:
    """Return /stream and /ws, on one fan-out of all topics that ends every stream when the process stops."""
    settings, catalog, bus = process.settings, process.catalog, process.bus
    current = settings.cache_url == "memory://" or bus.connected
    bounds = (settings.max_streams, settings.stream_replay, settings.stream_seconds)
    fanout = Fanout(bus, catalog, process.metrics, *bounds, current=current, now=process.clock.now)
    fanout.serve(PRICES, PricePresenter(catalog, newest))
    fanout.serve_rest()
    process.beside_server.append(fanout.end_on(process.stop))
    prices = PriceSnapshots(catalog, lookup, newest, bodies)
    process.stack.push_async_callback(prices.close, STOP_SECONDS)
    sources: dict[str, SnapshotSource] = {PRICES.name: prices}
    sources |= trade_snapshots(catalog, HotTrades(reads.streamed), reads.settled)
    parts = (catalog, bus.topics, fanout, Snapshots(fanout, sources))
    return [*StreamRoute(*parts).routes(), *SocketRoute(*parts).routes()]
