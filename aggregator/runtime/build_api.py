"""The half of a process that answers for prices, over HTTP and in streams."""

from collections.abc import Sequence

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.browser_headers import BrowserRoutes
from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path import FastPath
from aggregator.api.history import HistoryRoutes
from aggregator.api.price_bodies import PriceBodies
from aggregator.api.prices import PriceRoutes
from aggregator.api.server.server import STOP_SECONDS
from aggregator.api.snapshots import Snapshots
from aggregator.api.socket import SocketRoute
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


async def open_api(
    process: Process,
    cache: LocalCache,
    history: History,
    refresh: Refresh,
    accesses: AccessCounts,
    more: Sequence[BaseRoute],
) -> ASGIApp:
    """Return the application that answers for prices, and for `more`."""
    settings, catalog, metrics, stack = process.settings, process.catalog, process.metrics, process.stack
    now = process.clock.now
    policy = policy_of(settings)
    bodies = PriceBodies(catalog, now, policy.vary)
    clock = process.clock
    lookup = Lookup(catalog, cache, history, refresh, metrics, accesses, now, clock_repeats=lambda: clock.repeats)
    stack.push_async_callback(lookup.close, STOP_SECONDS)
    throttle = Throttle(refresh, settings.refresh_cooldown, settings.refresh_rate)
    stack.push_async_callback(throttle.close, STOP_SECONDS)
    recheck = Recheck(refresh, settings.refresh_rate)
    stack.push_async_callback(recheck.close, STOP_SECONDS)
    prices = PriceRoutes(catalog, lookup, throttle, bodies, policy.keys, recheck)
    stored = HistoryRoutes(catalog, history, now)
    streams = _open_streams(process, lookup, cache.newest, bodies)
    routes = [*stored.routes(), *streams, *more, *BrowserRoutes().routes(), *prices.routes()]
    app = build(routes, metrics, settings.max_in_flight, policy)
    tally = BufferedMetrics(metrics, accesses, FreshnessMetrics(catalog, metrics))
    await process.keep_running(tally)
    return traced(FastPath(app, catalog, cache, bodies, tally, now, policy), process.tracer)


def _open_streams(process: Process, lookup: Lookup, newest: NewestPrices, bodies: PriceBodies) -> list[BaseRoute]:
    settings, catalog, hub = process.settings, process.catalog, process.hub
    current = settings.cache_url == "memory://" or hub.connected
    bounds = (settings.max_streams, settings.stream_replay, settings.stream_seconds)
    fanout = Fanout(catalog, process.metrics, newest, *bounds, current=current, now=process.clock.now)
    hub.listen(fanout)
    process.beside.append(fanout.end_on(process.stop))
    snapshots = Snapshots(catalog, lookup, newest, bodies, fanout)
    process.stack.push_async_callback(snapshots.close, STOP_SECONDS)
    stream = StreamRoute(catalog, fanout, snapshots)
    return [*stream.routes(), *SocketRoute(catalog, fanout, snapshots).routes()]
