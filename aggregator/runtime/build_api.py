"""The half of a process that answers for prices, over HTTP and in streams."""

from collections.abc import Sequence

from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.browser_headers import BrowserRoutes
from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.candles import CandlesRoute
from aggregator.api.fast_path import FastPath
from aggregator.api.history import HistoryRoutes
from aggregator.api.price_bodies import PriceBodies
from aggregator.api.prices import PriceRoutes
from aggregator.api.refresh import RefreshRoute
from aggregator.api.route import Route
from aggregator.api.server.server import STOP_SECONDS
from aggregator.api.snapshots import Snapshots
from aggregator.api.socket import SocketRoute
from aggregator.api.sources import SourcesRoute
from aggregator.api.stream import StreamRoute
from aggregator.api.throttle import Recheck, Throttle
from aggregator.api.tracing_middleware import traced
from aggregator.live.fanout import Fanout
from aggregator.newest import NewestPrices
from aggregator.ports import History, LocalCache, Refresh
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from aggregator.runtime.process import Process
from aggregator.runtime.stores import policy_of
from aggregator.stores.dated import DatedHistory


async def open_api(
    process: Process,
    cache: LocalCache,
    history: History,
    refresh: Refresh,
    accesses: AccessCounts,
    more: Sequence[Route],
) -> ASGIApp:
    """Return the application that answers for prices, and for `more`."""
    settings, catalog, metrics, stack = process.settings, process.catalog, process.metrics, process.stack
    now = process.clock.now
    policy = policy_of(settings)
    bodies = PriceBodies(catalog, now, policy.vary)
    lookup = Lookup(catalog, cache, DatedHistory(history, process.clock), refresh, metrics, accesses, now)
    stack.push_async_callback(lookup.close, STOP_SECONDS)
    throttle = Throttle(refresh, settings.refresh_cooldown, settings.refresh_rate)
    stack.push_async_callback(throttle.close, STOP_SECONDS)
    recheck = Recheck(refresh, settings.refresh_rate)
    stack.push_async_callback(recheck.close, STOP_SECONDS)
    routes = [
        *PriceRoutes(catalog, lookup, bodies).routes(),
        *SourcesRoute(catalog, lookup, bodies, recheck).routes(),
        *RefreshRoute(catalog, lookup, throttle, bodies).routes(),
        *HistoryRoutes(catalog, history, now).routes(),
        *CandlesRoute(catalog, history, now).routes(),
        *_open_streams(process, lookup, cache.newest, bodies),
        *BrowserRoutes().routes(),
        *more,
    ]
    built = build(routes, metrics, settings.max_in_flight, policy)
    app: ASGIApp = built
    if settings.fast_path:
        buffered = BufferedMetrics(metrics, accesses, FreshnessMetrics(catalog, metrics))
        await process.keep_running(buffered)
        app = FastPath(app, catalog, cache, bodies, buffered, now, policy)
    return traced(app, process.tracer, built.label_of)


def _open_streams(process: Process, lookup: Lookup, newest: NewestPrices, bodies: PriceBodies) -> list[Route]:
    settings, catalog, hub = process.settings, process.catalog, process.hub
    current = not settings.shares_cache or hub.connected
    bounds = (settings.max_streams, settings.stream_replay, settings.stream_seconds)
    fanout = Fanout(catalog, process.metrics, newest, *bounds, current=current, now=process.clock.now)
    hub.listen(fanout)
    process.beside.append(fanout.end_on(process.stop))
    snapshots = Snapshots(catalog, lookup, newest, bodies, fanout)
    process.stack.push_async_callback(snapshots.close, STOP_SECONDS)
    stream = StreamRoute(catalog, fanout, snapshots)
    return [*stream.routes(), *SocketRoute(catalog, fanout, snapshots).routes()]
