"""The composition root: opens what the settings name, runs it, closes it. Only here are concrete adapters known."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.history import HistoryRoutes
from aggregator.api.keys import Keys
from aggregator.api.ops import OpsRoutes
from aggregator.api.prices import PriceRoutes
from aggregator.commit import GroupCommit
from aggregator.errors import StoreError
from aggregator.exchanges.binance import Binance
from aggregator.exchanges.coinbase import Coinbase
from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.kraken import Kraken
from aggregator.exchanges.mock import Mock
from aggregator.freshness import Freshness
from aggregator.lookup import Lookup
from aggregator.metrics import Metrics
from aggregator.ports import Cache, History
from aggregator.progress import filling
from aggregator.refresher import Policy, Refresher, most_in_job
from aggregator.settings import DynamoTarget, ExchangeTarget, Settings, exchange_targets, history_target
from aggregator.stores.dynamodb import DynamoTable
from aggregator.stores.memory import MemoryCache
from aggregator.stores.outbox import Outbox
from aggregator.stores.redis import RedisCache
from aggregator.stores.sqlite import SqliteHistory
from aggregator.tiers import Catalog, SymbolsError, assign, read_symbols
from aggregator.work import OwnWork

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "mock": Mock,
    "binance": Binance,
    "coinbase": Coinbase,
    "kraken": Kraken,
}

log = structlog.get_logger()

_STOP_SECONDS = 2.0  # for requests in flight, and again for refreshes and writes under way
_DRAIN_SECONDS = 1.0
_LANES = 4  # hot, medium, cold, and by hand: each may use its share of an exchange's slots and no more


class CannotStart(Exception):
    """Something outside is not as it must be; the message says what, and how to mend it."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run the service until `stop` is set. Raises CannotStart, or whatever a part of it crashed with."""
    catalog = catalog_of(settings)
    with _listening(settings.host, settings.port) as listener:
        async with _parts(settings, catalog) as (app, refresher):
            log.info("listening", address="http://{}:{}".format(*listener.getsockname()), assets=len(catalog.assets))
            server = _Server(app)
            async with asyncio.TaskGroup() as group:
                # Siblings, so that a crash of either ends both: uvicorn alone would go on answering from the past.
                beside = [
                    group.create_task(_refresh(refresher, catalog)),
                    group.create_task(_stop_at(stop, server)),
                ]
                await server.serve(sockets=[listener])
                for task in beside:
                    task.cancel()
    log.info("stopped")


@asynccontextmanager
async def _parts(settings: Settings, catalog: Catalog) -> AsyncIterator[tuple[ASGIApp, Refresher]]:
    """Open everything, in the order it depends on each other; close it the other way round."""
    metrics = Metrics(CollectorRegistry())
    async with AsyncExitStack() as stack:
        cache, history = await _open_stores(settings, metrics, stack)
        http = await stack.enter_async_context(session(settings.exchange_timeout))
        exchanges = [_exchange(target, http, metrics, settings) for target in exchange_targets(settings.exchanges)]
        await stack.enter_async_context(_in_background(history))
        freshness = Freshness(catalog, metrics)
        sinks = [GroupCommit("history", history, metrics), GroupCommit("cache", cache, metrics)]
        policy = _policy(settings)
        work = OwnWork(catalog, most_in_job(exchanges, policy.lane))
        refresher = Refresher(catalog, exchanges, work, sinks, freshness, metrics, policy)
        stack.push_async_callback(refresher.close, _STOP_SECONDS)
        lookup = Lookup(catalog, cache, history, refresher, metrics)
        stack.push_async_callback(lookup.close, _STOP_SECONDS)
        prices = PriceRoutes(catalog, lookup, refresher, Keys(settings.api_keys))
        stored = HistoryRoutes(catalog, history)
        ops = OpsRoutes(catalog, {"cache": cache, "history": history}, sinks, exchanges, freshness, metrics)
        yield build([*stored.routes(), *ops.routes(), *prices.routes()], metrics), refresher


@asynccontextmanager
async def _in_background(history: History) -> AsyncIterator[None]:
    """Let the history do its work beside us; at the end, give it a moment to finish."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        yield
        await history.drain(_DRAIN_SECONDS)
        running.cancel()


def _exchange(target: ExchangeTarget, http: Session, metrics: Metrics, settings: Settings) -> HttpExchange:
    dialect = DIALECTS[target.dialect]()
    url = target.url or dialect.public_url
    return HttpExchange(
        target.name, url, dialect, http, metrics, settings.exchange_concurrency, settings.exchange_batch
    )


async def _open_stores(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> tuple[Cache, History]:
    """Open and try both stores; each is closed with the stack."""
    ttl = {tier: cadence.ttl for tier, cadence in settings.cadence.items()}
    cache: Cache
    if settings.cache_url == "memory://":
        cache = MemoryCache(ttl)
    else:
        cache = RedisCache(settings.cache_url, ttl, settings.redis_timeout)
    stack.push_async_callback(cache.close)
    await _try(cache.ping(), "AGGREGATOR_CACHE_URL", "start Redis there, or use memory://")
    return cache, await _open_history(settings, metrics, stack)


async def _open_history(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> History:
    """Open and try the history; it is closed with the stack."""
    target = history_target(settings.history_url)
    retention = None if settings.retention_days is None else settings.retention_days * 86_400
    file_mend = "name a file in a folder that exists and can be written to"
    history: SqliteHistory | Outbox
    if isinstance(target, DynamoTarget):
        table = DynamoTable(target.table, target.region, target.endpoint, metrics, retention)
        history = Outbox(settings.outbox_path, settings.outbox_max_bytes, table, metrics)
        stack.push_async_callback(history.close)
        table_mend = "check region, endpoint, credentials and rights, or use sqlite:///prices.db"
        await _try(table.open(), "AGGREGATOR_HISTORY_URL", table_mend)
        await _try(history.open(), "AGGREGATOR_OUTBOX_PATH", file_mend)
    else:
        history = SqliteHistory(target.path, retention)
        stack.push_async_callback(history.close)
        await _try(history.open(), "AGGREGATOR_HISTORY_URL", file_mend)
    return history


async def _try(step: Awaitable[None], setting: str, mend: str) -> None:
    try:
        await step
    except StoreError as error:
        raise CannotStart(f"{error}; {mend} ({setting})") from error


def catalog_of(settings: Settings) -> Catalog:
    """Read the symbols file. Raises CannotStart."""
    path = settings.symbols_file
    try:
        rows = read_symbols(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror}; name a file with --symbols-file") from error
    except UnicodeDecodeError as error:
        raise CannotStart(f"{path} is not UTF-8 text") from error
    except SymbolsError as error:
        raise CannotStart(f"{path}: {error}") from error
    return assign(rows, settings.hot_size, settings.medium_size, settings.cadence)


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


async def _stop_at(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    log.info("stopping")
    server.should_exit = True


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything else starts. Raises CannotStart when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        why = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or 'no such host'}"
        raise CannotStart(f"{why}; choose another --port (0 for any free one) or --host") from error
    with listener:
        yield listener


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling: it would raise SIGTERM again and end the process before the stores close."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=round(_STOP_SECONDS),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command line."""
        yield
