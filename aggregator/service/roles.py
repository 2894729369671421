"""What runs in a process."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.accesses import Accesses
from aggregator.api.app import build
from aggregator.api.at_hand import AtHand
from aggregator.api.bodies import Bodies
from aggregator.api.history import HistoryRoutes
from aggregator.api.keys import Keys
from aggregator.api.ops import OpsRoutes
from aggregator.api.prices import PriceRoutes
from aggregator.commit import GroupCommit
from aggregator.freshness import Freshness
from aggregator.hub import Hub
from aggregator.lookup import Lookup
from aggregator.metrics import Metrics
from aggregator.progress import filling
from aggregator.refresher import Policy, Refresher, most_in_job
from aggregator.service.opening import cache_of, catalog_of, open_exchanges, open_history, open_redis
from aggregator.service.server import STOP_SECONDS, Server, listening
from aggregator.settings import Settings
from aggregator.stores.redis.feed import RedisFeed
from aggregator.tiers import Catalog
from aggregator.work import OwnWork

log = structlog.get_logger()

_DRAIN_SECONDS = 1.0
_LANES = 4  # hot, medium, cold, and by hand: each may use its share of an exchange's slots and no more


class Runs(Protocol):
    """Something with work of its own beside the requests."""

    async def run(self) -> None:
        """Do it, for ever."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run the service until `stop` is set. Raises CannotStart, or whatever a part of it crashed with."""
    catalog = catalog_of(settings)
    with listening(settings.host, settings.port) as listener:
        async with _parts(settings, catalog) as (app, refresher):
            _settle_memory()
            log.info("listening", address="http://{}:{}".format(*listener.getsockname()), assets=len(catalog.assets))
            await _until(stop, Server(app), listener, [_refresh(refresher, catalog)])
    log.info("stopped")


def _settle_memory() -> None:
    """Look for garbage less often, and not among what lives as long as the process: requests leave no cycles behind.

    Worth 8 % of the requests a second, and the pauses that a look through everything takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _until(stop: asyncio.Event, server: Server, listener: socket.socket, beside: list[Awaitable[None]]) -> None:
    """Serve until told to stop. What runs beside is the server's sibling, so that a crash of either ends both.

    Uvicorn alone would go on answering from the past.
    """

    async def stopping() -> None:
        await stop.wait()
        log.info("stopping")
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(one)) for one in (*beside, stopping())]
        await server.serve(sockets=[listener])
        for task in tasks:
            task.cancel()


async def _awaited(one: Awaitable[None]) -> None:
    await one


@asynccontextmanager
async def _parts(settings: Settings, catalog: Catalog) -> AsyncIterator[tuple[ASGIApp, Refresher]]:
    """Open everything, in the order it depends on each other; close it the other way round."""
    metrics = Metrics(CollectorRegistry())
    hub = Hub()
    async with AsyncExitStack() as stack:
        redis = await open_redis(settings, stack)
        cache = cache_of(settings, redis, hub)
        history = await open_history(settings, metrics, stack)
        exchanges = await open_exchanges(settings, metrics, stack)
        await stack.enter_async_context(_beside(history))
        stack.push_async_callback(history.drain, _DRAIN_SECONDS)
        if redis is not None:
            await stack.enter_async_context(_beside(RedisFeed(redis, hub)))
        freshness = Freshness(catalog, metrics)
        sinks = [GroupCommit("history", history, metrics), GroupCommit("cache", cache, metrics)]
        policy = _policy(settings)
        work = OwnWork(catalog, most_in_job(exchanges, policy.lane))
        refresher = Refresher(catalog, exchanges, work, sinks, freshness, metrics, policy)
        stack.push_async_callback(refresher.close, STOP_SECONDS)
        accesses, bodies = Accesses(metrics), Bodies(catalog)
        lookup = Lookup(catalog, cache, history, refresher, metrics, accesses)
        stack.push_async_callback(lookup.close, STOP_SECONDS)
        prices = PriceRoutes(catalog, lookup, refresher, bodies, Keys(settings.api_keys))
        stored = HistoryRoutes(catalog, history)
        ops = OpsRoutes(catalog, {"cache": cache, "history": history}, sinks, exchanges, freshness, metrics)
        app = build([*stored.routes(), *ops.routes(), *prices.routes()], metrics)
        yield AtHand(app, catalog, cache, bodies, accesses, metrics), refresher


@asynccontextmanager
async def _beside(part: Runs) -> AsyncIterator[None]:
    """Let a part do its own work as long as the block runs."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(part.run())
        yield
        running.cancel()


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_deviation=settings.max_deviation,
        min_sources=settings.min_sources,
        grace=settings.grace,
        lane=settings.exchange_concurrency // _LANES,
    )


async def _refresh(refresher: Refresher, catalog: Catalog) -> None:
    with filling(catalog) as on_fill:
        await refresher.run(on_fill)
