"""Parts that the processes of each role open, in order; the exit stack of the process closes it in reverse order.

| role       | exchanges | refreshes prices         | takes trades in          | serves                                |
| ---------- | --------- | ------------------------ | ------------------------ | ------------------------------------- |
| all        | yes       | itself                   | yes                      | everything                            |
| refresher  | yes       | itself                   | exchanges' (TRADE_FEEDS) | /assets, /health, /ready and /metrics |
| api        | no        | by refresh requests      | into a shared log only   | everything                            |
| processor  | no        | no                       | no                       | /assets, /health, /ready and /metrics |
| streams    | no        | no                       | no                       | /assets, /health, /ready and /metrics |

Every role but `streams` opens the stores first; `streams` has the stream of a table and outlets only. With Redis,
processes of all roles share the schedule, the prices, the requests, and trades and features; roles other than `all` and
`streams` need it. With workers, the role `all` is a refresher and API processes.
Trades of a `memory://` log are processed by the process that takes them in; those of a log that processes share
(`kafka://`, `kinesis://`) by all processes of the roles `all` and `processor`, and by refreshers with TRADE_FEEDS, each
some partitions. Rules of alerts are evaluated by the roles `all` and `refresher`; of several such processes, the one
with the lease passes alerts on.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp

from aggregator.runtime.attempts import Attempt
from aggregator.runtime.monitors import ClockLog, LoopLag
from aggregator.runtime.parts.analytics.build_alerts import evaluate_rules, shared_rules
from aggregator.runtime.parts.analytics.build_analytics import open_event_stores
from aggregator.runtime.parts.build_api import build_api, build_ops_api, build_stream_api
from aggregator.runtime.parts.build_archive import open_archive, run_archive
from aggregator.runtime.parts.build_outlets import open_outlets
from aggregator.runtime.parts.build_refresher import build_refresher, open_venues, recall_newest
from aggregator.runtime.parts.build_table_stream import open_table_stream
from aggregator.runtime.parts.cluster import Cluster, build_remote_refresh, join_cluster
from aggregator.runtime.parts.trades.build_trades import TradeStream, open_sinks, open_trades, run_trades
from aggregator.runtime.parts.trades.shared_trades import (
    open_published_trades,
    open_stored_trades,
    own_reads,
    shared_reads,
)
from aggregator.runtime.process import Process, RefreshPath, Stores
from aggregator.runtime.stores import cache_of, open_history, open_redis
from aggregator.stores.redis.client import RedisClient


async def build_role(process: Process, attempt: Attempt) -> ASGIApp:
    """Return the application of the process's role, every part of it opened. Raises CannotGoOn."""
    if process.settings.role == STREAMS:
        await _monitor(process)
        return build_stream_api(process, await open_table_stream(process, attempt))
    if process.settings.role != "api":
        process.archive = await open_archive(process, attempt)
    stores = await _open_stores(process, attempt)
    await open_outlets(process, attempt, stores.redis)
    if stores.redis is None:  # then the role is `all`: the settings refuse the others without Redis
        app = await _alone(process, stores, attempt)
    else:
        app = await ROLES[process.settings.role](process, stores, stores.redis, attempt)
    if process.archive is not None:
        await run_archive(process, process.archive)  # the last part, so that it ends before any store is closed
    return app


async def _alone(process: Process, stores: Stores, attempt: Attempt) -> ASGIApp:
    trades = await open_trades(process, attempt)
    await recall_newest(process, stores)
    await run_trades(process, trades)
    venues = await open_venues(process, stores, trades.sinks)
    await _monitor(process)
    path = await build_refresher(process, stores, venues)
    rules = await evaluate_rules(process, trades.events)
    return await build_api(process, stores, path, None, own_reads(trades), trades.sinks, trades.events, rules, trades)


async def _all(process: Process, stores: Stores, redis: RedisClient, attempt: Attempt) -> ASGIApp:
    trades = await open_published_trades(process, redis, attempt)
    path, cluster = await _refresh_together(process, stores, redis, trades)
    reads = await shared_reads(process, redis, trades.store, trades.processor)
    rules = await evaluate_rules(process, trades.events, redis)
    return await build_api(process, stores, path, cluster, reads, trades.sinks, trades.events, rules, trades)


async def _refresher(process: Process, stores: Stores, redis: RedisClient, attempt: Attempt) -> ASGIApp:
    trades = await open_published_trades(process, redis, attempt) if process.settings.trade_feeds else None
    path, cluster = await _refresh_together(process, stores, redis, trades)
    events = await open_event_stores(process, attempt) if trades is None else trades.events
    await evaluate_rules(process, events, redis)
    return await build_ops_api(process, stores, path, cluster, trades)


async def _api(process: Process, stores: Stores, redis: RedisClient, attempt: Attempt) -> ASGIApp:
    stored = await open_stored_trades(process, attempt)
    sinks = await open_sinks(process, attempt)
    events = await open_event_stores(process, attempt)
    await _monitor(process)
    cluster = await join_cluster(process, redis)
    path = await build_remote_refresh(process, cluster, stores.cache)
    reads = await shared_reads(process, redis, stored)
    return await build_api(process, stores, path, cluster, reads, sinks, events, shared_rules(process, events))


async def _processor(process: Process, stores: Stores, redis: RedisClient, attempt: Attempt) -> ASGIApp:
    await _monitor(process)
    cluster = await join_cluster(process, redis)
    path = await build_remote_refresh(process, cluster, stores.cache)
    trades = await open_published_trades(process, redis, attempt)
    await run_trades(process, trades)
    return await build_ops_api(process, stores, path, cluster, trades)


STREAMS = "streams"
ROLES: Mapping[str, Callable[[Process, Stores, RedisClient, Attempt], Awaitable[ASGIApp]]] = {
    "all": _all,
    "refresher": _refresher,
    "api": _api,
    "processor": _processor,
}


async def _refresh_together(
    process: Process, stores: Stores, redis: RedisClient, trades: TradeStream | None = None
) -> tuple[RefreshPath, Cluster]:
    """Start refreshing in a share of the work with the other refreshers on this Redis; with `trades`, process these."""
    if trades is not None:
        await run_trades(process, trades)
    venues = await open_venues(process, stores, None if trades is None else trades.sinks)
    await _monitor(process)
    cluster = await join_cluster(process, redis)
    path = await build_refresher(process, stores, venues)
    await process.keep_running(cluster.feed)
    return path, cluster


async def _open_stores(process: Process, attempt: Attempt) -> Stores:
    settings, stack, tracer, now = process.settings, process.stack, process.tracer, process.clock.now
    redis = await open_redis(settings, stack, attempt)
    cache = cache_of(settings, redis, process.bus, tracer, now)
    history = await open_history(settings, process.metrics, stack, tracer, attempt, now)
    return Stores(redis, cache, history)


async def _monitor(process: Process) -> None:
    await process.keep_running(LoopLag(process.metrics))
    await process.keep_running(ClockLog(process.clock))
