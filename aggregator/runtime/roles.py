"""What runs in one process, by its role: the refresher, the API, or both."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.exchanges import LocalStatus
from aggregator.api.ops import OpsRoutes
from aggregator.api.server.server import Server, address_of, limits_of, listening
from aggregator.api.tracing_middleware import traced
from aggregator.cluster.lag import JobLag
from aggregator.cluster.popularity_scores import RedisScores
from aggregator.cluster.price_feed import RedisPriceFeed
from aggregator.cluster.refresh_requests import RemoteRefresh
from aggregator.cluster.status_board import StatusBoard
from aggregator.cluster.venue_coverage import CoverageListener
from aggregator.errors import StoreError
from aggregator.observability.metrics import Metrics
from aggregator.ports import ExchangeStatus, LocalCache, Refresh
from aggregator.prices.ranking import AccessCounts, LocalScores, Ranking
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit, Sinks
from aggregator.runtime.build_api import open_api
from aggregator.runtime.build_refresher import exchanges_of, judged, open_refresher, recall
from aggregator.runtime.loop_lag import ClockLog, LoopLag, TimeTold
from aggregator.runtime.process import Process
from aggregator.runtime.stores import (
    Attempt,
    attempt,
    cache_of,
    catalog_of,
    open_history,
    open_redis,
    open_tracer,
    policy_of,
)
from aggregator.runtime.tuning import settle_memory
from aggregator.settings import Settings
from aggregator.stores.redis.client import RedisClient

log = structlog.get_logger()

_SUBSCRIBE_SECONDS = 2.0  # a start waits no longer for a Redis that has gone away meanwhile
_LONGEST_STOP = 10.0  # seconds for requests in flight, whatever the exchanges' timeout is


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run the process until `stop` is set. Raises CannotGoOn, or whatever a part of it crashed with."""
    catalog = catalog_of(settings)
    with listening(settings.host, settings.port) as listener:
        await serve_on(listener, settings, catalog, stop)


async def try_out(settings: Settings) -> None:
    """Open what several processes are about to open, and close it: what is wrong is said once. Raises CannotGoOn."""
    catalog_of(settings)
    async with AsyncExitStack() as stack:
        await open_redis(settings, stack)
        await open_history(settings, Metrics(), stack)


async def serve_on(
    listener: socket.socket | None,
    settings: Settings,
    catalog: Catalog,
    stop: asyncio.Event,
    attempt: Attempt = attempt,
) -> None:
    """As `serve`, on a port that somebody else has taken; with none, nobody can ask this process anything."""
    async with AsyncExitStack() as stack:
        process = Process(settings, catalog, await open_tracer(settings, stack), stack, stop)
        app = await _open(process, attempt)
        settle_memory()
        if listener is not None:
            log.info("listening", address=address_of(listener), assets=len(catalog.assets), role=settings.role)
        patience = min(process.longest_refresh, _LONGEST_STOP)
        server = Server(app, limits_of(settings.max_connections), process.metrics, patience, settings.trusted_proxies)
        await _until(stop, server, listener, process.beside)
    log.info("stopped")


async def _until(
    stop: asyncio.Event, server: Server, port: socket.socket | None, beside: list[Coroutine[Any, Any, None]]
) -> None:
    """Serve until told to stop. What runs beside is the server's sibling, so that a crash of either ends both.

    Uvicorn alone would go on answering from the past.
    """

    async def stopping() -> None:
        await stop.wait()
        log.info("stopping")
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in (*beside, stopping())]
        if port is not None:
            await server.serve(sockets=[port])
        else:
            await stop.wait()
        for task in tasks:
            task.cancel()


async def _open(process: Process, attempt: Attempt) -> ASGIApp:
    """Return the application, its parts opened in the order they depend on each other."""
    settings, metrics = process.settings, process.metrics
    now = process.clock.now
    redis = await open_redis(settings, process.stack, attempt)
    cache = cache_of(settings, redis, process.hub, process.tracer, now)
    history = await open_history(settings, metrics, process.stack, process.tracer, attempt, now)
    if redis is None:
        await recall(cache.newest, history, process.catalog)
    # Before anything runs beside: what cannot be opened would come out of a task group as a group.
    exchanges = [] if settings.role == "api" else await exchanges_of(process, cache)
    await process.keep_running(LoopLag(metrics))
    await process.keep_running(ClockLog(process.clock))
    feed = lag = None
    if redis is not None:
        process.hub.listen(process.freshness)  # for what other processes refresh
        feed, lag = RedisPriceFeed(redis, process.hub), JobLag(redis, process.catalog, metrics)
        await process.keep_running(lag)
    sinks: Sinks | None = None
    if settings.role == "api":
        assert redis is not None  # noqa: S101  # the settings see to it
        assert feed is not None  # noqa: S101  # likewise
        refresh: Refresh = RemoteRefresh(redis, feed, process.longest_refresh, process.tracer)
        watch: ExchangeStatus = StatusBoard(redis)
        coverage = CoverageListener(redis, process.coverage)
        await process.keep_running(coverage)
        process.hub.listen(TimeTold(process.clock))
    else:
        sinks = Sinks(GroupCommit("history", history, metrics), GroupCommit("cache", cache, metrics))
        refresh = await open_refresher(process, redis, exchanges, cache, history, sinks)
        watch = LocalStatus(judged(process, exchanges))
    if feed is not None:
        await process.keep_running(feed)
        if settings.role == "api":
            await _catch_up(process, cache, feed, coverage)
    accesses = AccessCounts(metrics, by_symbol=settings.tiering == "popular")
    await _open_ranking(process, redis, accesses)
    stores = {"cache": cache, "history": history}
    ops = OpsRoutes(
        process.catalog,
        stores,
        sinks or (),
        watch,
        process.coverage,
        process.freshness,
        lag,
        metrics,
        clock=process.clock,
    )
    if settings.role == "refresher":
        return traced(build(ops.routes(), metrics, settings.max_in_flight, policy_of(settings)), process.tracer)
    return await open_api(process, cache, history, refresh, accesses, ops.routes())


async def _catch_up(process: Process, cache: LocalCache, feed: RedisPriceFeed, coverage: CoverageListener) -> None:
    """Know how fresh is what others refreshed before we came, which a refresher learns as it fills.

    Else /ready would say that there is no price yet. Not before new ones are heard of, as what came in between
    would be missed, and of a cold asset for minutes.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            await feed.subscribed.wait()
    with suppress(StoreError):
        await coverage.hear()
        process.freshness.receive(list((await cache.latest(list(process.catalog.assets))).values()))


async def _open_ranking(process: Process, redis: RedisClient | None, accesses: AccessCounts) -> None:
    settings = process.settings
    if settings.tiering == "popular":
        scores = LocalScores(time.monotonic) if redis is None else RedisScores(redis)
        pinned, interval = frozenset(settings.pinned), settings.rank_interval
        await process.keep_running(Ranking(process.catalog, accesses, scores, pinned, interval, process.metrics))
