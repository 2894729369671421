"""From settings to open parts: the catalog, the stores, where traces go. The exchanges are in `exchanges.py`."""

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from aggregator.api.hosts import default_hosts, is_unspecified
from aggregator.api.keys import Keys
from aggregator.api.policy import Hosts, Origins, Policy
from aggregator.errors import CannotGoOn, StoreError, StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Cache, History, LocalCache
from aggregator.prices.conversion import CannotConvert, Conversions
from aggregator.prices.tiers import Catalog, SymbolsError, assign, read_symbols
from aggregator.settings import Settings
from aggregator.settings.urls import DynamoTarget, history_target
from aggregator.stores.circuit_breaking_cache import CircuitBreakingCache
from aggregator.stores.memory import MemoryCache
from aggregator.stores.outbox import Outbox
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.sqlite import SqliteHistory
from aggregator.stores.traced import TracedCache, TracedHistory, TracedTable
from aggregator.stores.two_level_cache import TwoLevelCache

if TYPE_CHECKING:
    from aggregator.stores.dynamodb import DynamoTable

FILE_MEND = "name a file in a folder that exists and can be written to"
TABLE_MEND = "check region, endpoint, credentials and rights, or use sqlite:///prices.db"

_MOST_SYMBOLS = 16 << 20  # bytes; 100,000 assets take some 3 MiB
_SEND_SECONDS = 2.0  # for the last traces, when the process ends
_TRY_AGAIN = 0.25  # seconds until a store that is away is tried again

Step = Callable[[], Awaitable[None]]
Attempt = Callable[[Step, str, str], Awaitable[None]]
"""Takes a step of opening something. Raises CannotGoOn, which names the setting and what to mend."""


def catalog_of(settings: Settings) -> Catalog:
    """Read the symbols file. Raises CannotGoOn."""
    path = settings.symbols_file
    try:
        rows = read_symbols(_text_of(path))
    except OSError as error:
        raise CannotGoOn(f"cannot read {path}: {error.strerror}", "name a file with --symbols-file") from error
    except UnicodeDecodeError as error:
        raise CannotGoOn(f"{path} is not UTF-8 text") from error
    except SymbolsError as error:
        raise CannotGoOn(f"{path}: {error}") from error
    catalog = assign(rows, settings.hot_size, settings.medium_size, settings.cadence)
    unlisted = [symbol for symbol in settings.pinned if catalog.find(symbol) is None]
    if unlisted:
        raise CannotGoOn(f"{', '.join(unlisted)} not in {path}, but pinned", "name listed symbols with --pinned")
    conversions_of(settings, catalog)
    return catalog


def _text_of(path: Path) -> str:
    """Return the text of a regular file of bounded size: a named pipe or a device could keep the start waiting.

    Raises OSError and CannotGoOn.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise CannotGoOn(f"{path} is no regular file", "name a file with --symbols-file")
    with path.open("rb") as file:
        raw = file.read(_MOST_SYMBOLS + 1)
    if len(raw) > _MOST_SYMBOLS:
        raise CannotGoOn(f"{path} is larger than {_MOST_SYMBOLS >> 20} MiB", "name a file with --symbols-file")
    return raw.decode("utf-8-sig")


def policy_of(settings: Settings) -> Policy:
    """Return who may ask. Where every address is listened on and no host is set, an address will do as a host."""
    any_address = not settings.allowed_hosts and is_unspecified(settings.host)
    hosts = Hosts(settings.allowed_hosts or default_hosts(settings.host), any_address=any_address)
    return Policy(hosts, Origins(settings.cors_origins), Keys(settings.api_keys, settings.read_keys))


def conversions_of(settings: Settings, catalog: Catalog) -> Conversions | None:
    """Return what is to be converted, or None where nothing is. Raises CannotGoOn."""
    if not settings.conversions:
        return None
    rates = [catalog.find(symbol) for symbol in settings.conversions]
    found = [rate for rate in rates if rate is not None]
    if len(found) < len(rates):
        unlisted = [symbol for symbol in settings.conversions if catalog.find(symbol) is None]
        raise CannotGoOn(f"{', '.join(unlisted)} not in {settings.symbols_file}, but a rate of --conversions")
    try:
        return Conversions(found, catalog.assets.values())
    except CannotConvert as error:
        raise CannotGoOn(f"{error} (AGGREGATOR_CONVERSIONS)") from error


async def attempt(step: Step, setting: str, mend: str) -> None:
    """`Attempt` of a process that nobody has tried anything out for: one that fails is the last."""
    try:
        await step()
    except StoreError as error:
        raise CannotGoOn(str(error), f"{mend} ({setting})") from error


def patient(stop: asyncio.Event) -> Attempt:
    """Return the `Attempt` of a process whose parent has just opened the same: a store that is away is waited for.

    It may go away between the two, and would take all processes of the group with it. Given up when told to stop.
    """

    async def wait_for(step: Step, setting: str, mend: str) -> None:
        told = False
        while True:
            try:
                await step()
            except StoreUnavailable as error:
                if stop.is_set():
                    raise CannotGoOn(str(error), f"{mend} ({setting})") from error
                if not told:
                    structlog.get_logger().warning("store_awaited", error=str(error), setting=setting)
                    told = True
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _TRY_AGAIN)
            except StoreError as error:
                raise CannotGoOn(str(error), f"{mend} ({setting})") from error
            else:
                return

    return wait_for


async def open_redis(settings: Settings, stack: AsyncExitStack, attempt: Attempt = attempt) -> RedisClient | None:
    """Connect to Redis where the settings name one; closed with the stack. Raises CannotGoOn."""
    if settings.cache_url == "memory://":
        return None
    client = RedisClient(settings.cache_url, settings.redis_timeout)
    stack.push_async_callback(client.close)
    await attempt(client.ping, "AGGREGATOR_CACHE_URL", "start Redis there, or use memory://")
    return client


async def open_tracer(settings: Settings, stack: AsyncExitStack) -> Tracer:
    """Return what traces go to; it is closed with the stack. Raises CannotGoOn."""
    if settings.traces == "none":
        return UNTRACED
    from aggregator.observability.telemetry import otlp  # noqa: PLC0415  # an extra: who wants no traces need not have it

    tracer = otlp(settings.role)
    stack.push_async_callback(tracer.close, _SEND_SECONDS)
    return tracer


def cache_of(
    settings: Settings,
    redis: RedisClient | None,
    hub: Bus,
    tracer: Tracer = UNTRACED,
    now: Callable[[], float] = time.time,
) -> LocalCache:
    """Return the cache, the part of it in this process told by the hub of every new price."""
    ttl = {tier: cadence.ttl for tier, cadence in settings.cadence.items()}
    newest = NewestPrices(ttl, now=now)
    if redis is None:
        return MemoryCache(newest, hub)
    cache: Cache = RedisCache(redis, ttl, now)
    near = TwoLevelCache(
        CircuitBreakingCache(cache if tracer is UNTRACED else TracedCache(cache, tracer), now=now), newest
    )
    hub.listen(near)
    return near


async def open_history(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    tracer: Tracer = UNTRACED,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
) -> History:
    """Open and try the history; it is closed with the stack. Raises CannotGoOn."""
    target = history_target(settings.history_url)
    history: SqliteHistory | Outbox
    if isinstance(target, DynamoTarget):
        table = table_of(settings, target, metrics, now)
        sent = table if tracer is UNTRACED else TracedTable(table, tracer)
        history = Outbox(settings.outbox_path, settings.outbox_max_bytes, sent, metrics, now)
        stack.push_async_callback(history.close)
        await attempt(table.open, "AGGREGATOR_HISTORY_URL", TABLE_MEND)
        await attempt(history.open, "AGGREGATOR_OUTBOX_PATH", FILE_MEND)
    else:
        history = SqliteHistory(target.path, _retention(settings), now)
        stack.push_async_callback(history.close)
        await attempt(history.open, "AGGREGATOR_HISTORY_URL", FILE_MEND)
    return history if tracer is UNTRACED else TracedHistory(history, tracer)


def table_of(
    settings: Settings, target: DynamoTarget, metrics: Metrics, now: Callable[[], float] = time.time
) -> "DynamoTable":
    """Return the DynamoDB table the settings name, not opened yet."""
    from aggregator.stores.dynamodb import DynamoTable  # noqa: PLC0415  # 0.3 s and 25 MiB that SQLite does not need

    return DynamoTable(target.table, target.region, target.endpoint, metrics, _retention(settings), now)


def _retention(settings: Settings) -> float | None:
    return None if settings.retention_days is None else settings.retention_days * 86_400
