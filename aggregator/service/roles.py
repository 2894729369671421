"""What runs in one process, by its role: the refresher, the API, or both."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from aggregator.accesses import Accesses
from aggregator.ages import Ages
from aggregator.api.app import build
from aggregator.api.at_hand import AtHand
from aggregator.api.bodies import Bodies
from aggregator.api.browser import BrowserRoutes
from aggregator.api.exchanges import Here
from aggregator.api.history import HistoryRoutes
from aggregator.api.keys import Keys
from aggregator.api.ops import OpsRoutes
from aggregator.api.prices import PriceRoutes
from aggregator.api.snapshots import Snapshots
from aggregator.api.socket import SocketRoute
from aggregator.api.stream import StreamRoute
from aggregator.api.throttle import Throttle
from aggregator.api.traced import traced
from aggregator.commit import GroupCommit
from aggregator.coverage import Coverage
from aggregator.errors import StoreError
from aggregator.fanout import Fanout
from aggregator.freshness import Freshness
from aggregator.hub import Hub
from aggregator.lookup import Lookup
from aggregator.metrics import Metrics
from aggregator.ports import Exchange, History, Near, Refresh, Watch, Work
from aggregator.progress import filling
from aggregator.ranking import OwnScores, Ranking
from aggregator.refresher import Policy, Refresher, most_in_job, seconds_together
from aggregator.service.exchanges import open_exchanges
from aggregator.service.opening import cache_of, catalog_of, open_history, open_redis, open_tracer
from aggregator.service.pulse import Pulse
from aggregator.service.running import settle_memory
from aggregator.service.server import STOP_SECONDS, Server, address_of, limits_of, listening
from aggregator.settings import Settings
from aggregator.stores.redis.board import Board, Teller
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.coverage import CoverageListener, CoverageTeller
from aggregator.stores.redis.feed import RedisFeed
from aggregator.stores.redis.jobs import SharedWork
from aggregator.stores.redis.lag import JobLag
from aggregator.stores.redis.refreshes import RefreshRequests, RemoteRefresh
from aggregator.stores.redis.scores import RedisScores
from aggregator.tally import Tally
from aggregator.tiers import Catalog
from aggregator.tracing import UNTRACED
from aggregator.work import OwnWork

log = structlog.get_logger()

_DRAIN_SECONDS = 1.0
_SUBSCRIBE_SECONDS = 2.0  # a start waits no longer for a Redis that has gone away meanwhile
_LANES = 4  # hot, medium, cold, and by hand: each may use its share of an exchange's slots and no more
_LONGEST_STOP = 10.0  # seconds for requests in flight, whatever the exchanges' timeout is
_LONGEST_REFRESH = 2.0  # seconds a refresh may take beyond the exchanges' timeout: waiting for a slot, and the stores


class Runs(Protocol):
    """Something with work of its own beside the requests."""

    async def run(self) -> None:
        """Do it, for ever."""


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
        await open_history(settings, Metrics(CollectorRegistry()), stack)


async def serve_on(listener: socket.socket | None, settings: Settings, catalog: Catalog, stop: asyncio.Event) -> None:
    """As `serve`, on a port that somebody else has taken; with none, nobody can ask this process anything."""
    async with AsyncExitStack() as stack:
        process = _Process(settings, catalog, stack, stop)
        app = await process.open()
        settle_memory()
        if listener is not None:
            log.info("listening", address=address_of(listener), assets=len(catalog.assets), role=settings.role)
        patience = min(settings.exchange_timeout + _LONGEST_REFRESH, _LONGEST_STOP)
        server = Server(app, limits_of(settings), process.metrics, patience)
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


class _Process:
    """One process' parts, opened in the order they depend on each other; the stack closes them the other way round."""

    def __init__(self, settings: Settings, catalog: Catalog, stack: AsyncExitStack, stop: asyncio.Event) -> None:
        self.beside: list[Coroutine[Any, Any, None]] = []
        self._settings = settings
        self._catalog = catalog
        self._stack = stack
        self._stop = stop
        self.metrics = Metrics(CollectorRegistry())
        self._hub = Hub()
        self.metrics.processes.labels(settings.role).set(1)
        self._tracer = UNTRACED
        self._coverage = Coverage()
        self._freshness = Freshness(catalog, self.metrics, self._coverage)
        self.metrics.before_text(lambda: self._freshness.tell(time.time()))

    async def open(self) -> ASGIApp:
        """Return the application, open; `beside` is what has to run with it."""
        settings = self._settings
        self._tracer = await open_tracer(settings, self._stack)
        redis = await open_redis(settings, self._stack)
        cache = cache_of(settings, redis, self._hub, self._tracer)
        history = await open_history(settings, self.metrics, self._stack, self._tracer)
        # Before anything runs beside: what cannot be opened would come out of a task group as a group.
        exchanges = [] if settings.role == "api" else await self._open_exchanges(cache)
        await self._stack.enter_async_context(_running(Pulse(self.metrics)))
        feed = lag = None
        if redis is not None:
            self._hub.listen(self._freshness)  # for what other processes refresh
            feed, lag = RedisFeed(redis, self._hub), JobLag(redis, self._catalog, self.metrics)
            await self._stack.enter_async_context(_running(lag))
        sinks = [GroupCommit("history", history, self.metrics), GroupCommit("cache", cache, self.metrics)]
        if settings.role == "api":
            assert redis is not None  # noqa: S101  # the settings see to it
            assert feed is not None  # noqa: S101  # likewise
            sinks = []
            refresh: Refresh = RemoteRefresh(redis, feed, settings.exchange_timeout + _LONGEST_REFRESH, self._tracer)
            watch: Watch = Board(redis)
            coverage = CoverageListener(redis, self._coverage)
            await self._stack.enter_async_context(_running(coverage))
        else:
            watch = Here(exchanges)
            refresh = await self._open_refresher(redis, exchanges, cache, history, sinks)
        if feed is not None:
            await self._stack.enter_async_context(_running(feed))
            if settings.role == "api":
                await self._catch_up(cache, feed, coverage)
        accesses = Accesses(self.metrics, by_symbol=settings.tiering == "popular")
        await self._open_ranking(redis, accesses)
        stores = {"cache": cache, "history": history}
        ops = OpsRoutes(self._catalog, stores, sinks, watch, self._coverage, self._freshness, lag, self.metrics)
        if settings.role == "refresher":
            return traced(build(ops.routes(), self.metrics, settings.max_in_flight), self._tracer)
        return await self._open_api(cache, history, refresh, accesses, ops.routes())

    async def _open_exchanges(self, cache: Near) -> Sequence[Exchange]:
        opened = await open_exchanges(
            self._settings, self._catalog, cache, self.metrics, self._stack, tracer=self._tracer
        )
        need, assets = self._settings.min_sources, self._catalog.assets.values()
        opened.listings.listen(lambda: self._coverage.count(opened.all, assets, need))
        await self._stack.enter_async_context(_running(opened.listings))
        for feed in opened.feeds:
            await self._stack.enter_async_context(_running(feed))
        return opened.all

    async def _catch_up(self, cache: Near, feed: RedisFeed, coverage: CoverageListener) -> None:
        """Know how fresh is what others refreshed before we came, which a refresher learns as it fills.

        Else /ready would say that there is no price yet. Not before new ones are heard of, as what came in between
        would be missed, and of a cold asset for minutes.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await feed.subscribed.wait()
        with suppress(StoreError):
            await coverage.hear()
            self._freshness.take(list((await cache.latest(list(self._catalog.assets))).values()))

    async def _open_ranking(self, redis: RedisClient | None, accesses: Accesses) -> None:
        settings = self._settings
        if settings.tiering == "popular":
            scores = OwnScores(time.monotonic) if redis is None else RedisScores(redis)
            pinned, interval = frozenset(settings.pinned), settings.rank_interval
            ranking = Ranking(self._catalog, accesses, scores, pinned, interval, self.metrics)
            await self._stack.enter_async_context(_running(ranking))

    async def _open_refresher(
        self,
        redis: RedisClient | None,
        exchanges: Sequence[Exchange],
        cache: Near,
        history: History,
        sinks: list[GroupCommit],
    ) -> Refresher:
        await self._stack.enter_async_context(_running(history))
        self._stack.push_async_callback(history.drain, _DRAIN_SECONDS)
        policy = _policy(self._settings)
        work = self._work(redis, most_in_job(exchanges, policy.lane), seconds_together(exchanges))
        refresher = Refresher(
            self._catalog, exchanges, work, cache, sinks, self._freshness, self.metrics, policy, tracer=self._tracer
        )
        self._stack.push_async_callback(refresher.close, STOP_SECONDS)
        self.beside.append(_refresh(refresher, self._catalog))
        if redis is not None:
            patience = self._settings.exchange_timeout + _LONGEST_REFRESH
            requests = RefreshRequests(redis, self._catalog, refresher, _name(), patience, self._tracer)
            self.beside.append(requests.run())
            self.beside.append(Teller(Board(redis), _name(), exchanges).run())
            self.beside.append(CoverageTeller(redis, self._coverage).run())
        return refresher

    def _work(self, redis: RedisClient | None, most: int, together: float) -> Work:
        if redis is None:
            return OwnWork(self._catalog, most, together=together)
        abandoned = 2 * (self._settings.exchange_timeout + _LONGEST_REFRESH)
        return SharedWork(redis, self._catalog, most, self.metrics, _name(), abandoned, together)

    async def _open_api(
        self, cache: Near, history: History, refresh: Refresh, accesses: Accesses, more: Sequence[BaseRoute]
    ) -> ASGIApp:
        bodies = Bodies(self._catalog)
        lookup = Lookup(self._catalog, cache, history, refresh, self.metrics, accesses)
        self._stack.push_async_callback(lookup.close, STOP_SECONDS)
        throttle = Throttle(refresh, self._settings.refresh_cooldown, self._settings.refresh_rate)
        self._stack.push_async_callback(throttle.close, STOP_SECONDS)
        prices = PriceRoutes(self._catalog, lookup, throttle, bodies, Keys(self._settings.api_keys))
        stored = HistoryRoutes(self._catalog, history)
        streams = self._open_streams(lookup, bodies)
        routes = [*stored.routes(), *streams, *more, *BrowserRoutes().routes(), *prices.routes()]
        app = build(routes, self.metrics, self._settings.max_in_flight)
        tally = Tally(self.metrics, accesses, Ages(self._catalog, self.metrics))
        await self._stack.enter_async_context(_running(tally))
        return traced(AtHand(app, self._catalog, cache, bodies, tally), self._tracer)

    def _open_streams(self, lookup: Lookup, bodies: Bodies) -> list[BaseRoute]:
        settings, alone = self._settings, self._settings.cache_url == "memory://"
        bounds = (settings.max_streams, settings.stream_replay, settings.stream_seconds)
        fanout = Fanout(self._catalog, self.metrics, *bounds, current=alone or self._hub.connected)
        self._hub.listen(fanout)
        self.beside.append(fanout.end_on(self._stop))
        snapshots = Snapshots(self._catalog, lookup, bodies, fanout)
        self._stack.push_async_callback(snapshots.close, STOP_SECONDS)
        stream = StreamRoute(self._catalog, fanout, snapshots)
        return [*stream.routes(), *SocketRoute(self._catalog, fanout, snapshots).routes()]


@asynccontextmanager
async def _running(part: Runs) -> AsyncIterator[None]:
    """Let a part do its own work as long as the block runs."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(part.run())
        yield
        running.cancel()


async def _refresh(refresher: Refresher, catalog: Catalog) -> None:
    with filling(catalog) as on_fill:
        await refresher.run(on_fill)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_deviation=settings.max_deviation,
        min_sources=settings.min_sources,
        grace=settings.grace,
        lane=settings.exchange_concurrency // _LANES,
    )


def _name() -> str:
    """Return a name that no other process on the same Redis has."""
    return f"{socket.gethostname()}-{os.getpid()}"
