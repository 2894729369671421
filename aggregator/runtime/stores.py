"""Makes parts from the settings: catalog, access policy, conversions, stores, tracer. Exchanges: see `parts`."""

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from math import inf
from pathlib import Path

import structlog

from aggregator.api.access.hosts import default_hosts, is_unspecified
from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Hosts, Origins, Policy
from aggregator.errors import CannotGoOn, StoreError, StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import History, LocalCache
from aggregator.prices.conversion import CannotConvert, Conversions
from aggregator.prices.tiers import Catalog, SymbolsError, assign, read_symbols
from aggregator.settings import PREFIX, Settings
from aggregator.stores.definition import HistoryParts, OpenStep
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.registry import CacheParts, cache_store, history_store
from aggregator.stores.traced import TracedHistory
from aggregator.stores.trades.definition import CreatedTradeReader, TradeStoreParts, nothing_longer
from aggregator.stores.trades.registry import trade_store
from aggregator.trades.ports import TradeStore

_MAX_SYMBOLS_BYTES = 16 << 20  # 100,000 assets take some 3 MiB
_SEND_SECONDS = 2.0  # to send the last traces when the process ends
_RETRY_SECONDS = 0.25  # between attempts to open a store that is away

Step = Callable[[], Awaitable[None]]
Attempt = Callable[[Step, str, str], Awaitable[None]]
"""Runs a step that opens something; takes the step, the setting and a remedy. Raises CannotGoOn naming both."""


def catalog_of(settings: Settings) -> Catalog:
    """Return the assets of the symbols file, in tiers. Raises CannotGoOn."""
    path, mend = settings.symbols_file, "name a file with --symbols-file"
    try:
        rows = read_symbols(bytes_of(path, _MAX_SYMBOLS_BYTES, mend).decode("utf-8-sig"))
    except OSError as error:
        raise CannotGoOn(f"cannot read {path}: {error.strerror}", mend) from error
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


def bytes_of(path: Path, most_bytes: int, mend: str) -> bytes:
    """Return the content of a regular file of bounded size. Raises OSError and CannotGoOn.

    Reading a named pipe or a device might never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise CannotGoOn(f"{path} is no regular file", mend)
    with path.open("rb") as file:
        raw = file.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise CannotGoOn(f"{path} is larger than {most_bytes >> 20} MiB", mend)
    return raw


def policy_of(settings: Settings) -> Policy:
    """Return the access policy: hosts, origins and keys.

    If the service listens on every address and no host is set, any IP address is accepted as a host.
    """
    any_address = not settings.allowed_hosts and is_unspecified(settings.host)
    hosts = Hosts(settings.allowed_hosts or default_hosts(settings.host), any_address=any_address)
    return Policy(hosts, Origins(settings.cors_origins), Keys(settings.api_keys, settings.read_keys))


def conversions_of(settings: Settings, catalog: Catalog) -> Conversions | None:
    """Return the conversions that the settings name, or None. Raises CannotGoOn."""
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
    """`Attempt` that runs the step once."""
    try:
        await step()
    except StoreError as error:
        raise CannotGoOn(str(error), f"{mend} ({setting})") from error


_once: Attempt = attempt


def patient(stop: asyncio.Event) -> Attempt:
    """Return an `Attempt` that waits for a store that is away, until `stop` is set.

    For a process whose parent has just opened the same store. The store may go away between the two, which must not end
    all processes of the group.
    """

    async def wait_for(step: Step, setting: str, mend: str) -> None:
        is_logged = False
        while True:
            try:
                await step()
            except StoreUnavailable as error:
                if stop.is_set():
                    raise CannotGoOn(str(error), f"{mend} ({setting})") from error
                if not is_logged:
                    structlog.get_logger().warning("store_awaited", error=str(error), setting=setting)
                    is_logged = True
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _RETRY_SECONDS)
            except StoreError as error:
                raise CannotGoOn(str(error), f"{mend} ({setting})") from error
            else:
                return

    return wait_for


async def open_redis(settings: Settings, stack: AsyncExitStack, attempt: Attempt = attempt) -> RedisClient | None:
    """Connect to the Redis that the settings name, or return None; closed with the stack. Raises CannotGoOn."""
    if not settings.shares_cache:
        return None
    client = RedisClient(settings.cache_url, settings.redis_timeout)
    stack.push_async_callback(client.close)
    await attempt(client.ping, "AGGREGATOR_CACHE_URL", "start Redis there, or use memory://")
    return client


async def open_tracer(settings: Settings, stack: AsyncExitStack) -> Tracer:
    """Return the tracer, which is closed with the stack. Raises CannotGoOn."""
    if settings.traces == "none":
        return UNTRACED
    from aggregator.observability.telemetry import otlp  # noqa: PLC0415  # an optional dependency

    tracer = otlp(settings.role)
    stack.push_async_callback(tracer.close, _SEND_SECONDS)
    return tracer


def cache_of(
    settings: Settings,
    redis: RedisClient | None,
    bus: Bus,
    tracer: Tracer = UNTRACED,
    now: Callable[[], float] = time.time,
) -> LocalCache:
    """Return the cache that the settings name. Its local part subscribes to the bus."""
    ttl = {tier: cadence.ttl for tier, cadence in settings.cadence.items()}
    return cache_store(settings.cache_url).create(CacheParts(ttl, bus, redis, tracer, now))


async def run_steps(steps: Iterable[OpenStep], attempt: Attempt) -> None:
    """Open a store step by step. Raises CannotGoOn."""
    for step in steps:
        await attempt(step.run, f"{PREFIX}{step.setting.upper()}", step.remedy)


async def open_history(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    tracer: Tracer = UNTRACED,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
) -> History:
    """Open the history that the settings name; it is closed with the stack. Raises CannotGoOn."""
    parts = HistoryParts(
        retention_of(settings),
        settings.outbox_path,
        settings.outbox_max_bytes,
        metrics,
        tracer,
        now,
        settings.postgres_password,
    )
    created = history_store(settings.history_url).create(settings.history_url, parts)
    stack.push_async_callback(created.history.close)
    await run_steps(created.open_steps, attempt)
    return created.history if tracer is UNTRACED else TracedHistory(created.history, tracer)


async def open_trade_store(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
    keep_from: Callable[[], float] = nothing_longer,
    archiver: str = "",
) -> TradeStore:
    """Open the store of trades that the settings name; it is closed with the stack. Raises CannotGoOn.

    Trades from `keep_from()` on are kept however old they are, for the archiver of this name.
    """
    parts = _trade_store_parts(settings, metrics, now, keep_from, archiver)
    created = trade_store(settings.trades_url).create(settings.trades_url, parts)
    stack.push_async_callback(created.store.close)
    await run_steps(created.open_steps, attempt)
    return created.store


async def open_trade_reader(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
) -> CreatedTradeReader | None:
    """Open the store of trades for reads in a process that stores none; it is closed with the stack.

    Returns None where the trades are in the memory of another process, and where the default file cannot be used: it
    would not be the file of the process that takes trades in, if there is any. Raises CannotGoOn.
    """
    create = trade_store(settings.trades_url).create_reader
    if create is None:
        return None
    # A process that stores no trades does not know which are archived, and deletes none where there is an archive.
    keep_from = _everything if settings.archive_url else nothing_longer
    created = create(settings.trades_url, _trade_store_parts(settings, metrics, now, keep_from))
    stack.push_async_callback(created.close)
    is_chosen = "trades_url" in settings.model_fields_set
    try:
        await run_steps(created.open_steps, attempt if is_chosen else _once)
    except CannotGoOn as error:
        if is_chosen:
            raise
        structlog.get_logger().info("stored_trades_not_read", error=str(error))
        return None
    return created


def _everything() -> float:
    return -inf


def _trade_store_parts(
    settings: Settings, metrics: Metrics, now: Callable[[], float], keep_from: Callable[[], float], archiver: str = ""
) -> TradeStoreParts:
    return TradeStoreParts(
        settings.trades_retention,
        settings.trades_outbox_path,
        settings.outbox_max_bytes,
        metrics,
        now,
        settings.postgres_password,
        keep_from,
        archiver,
    )


def retention_of(settings: Settings) -> float | None:
    """Return for how many seconds history keeps prices; None keeps them for good."""
    return None if settings.retention_days is None else settings.retention_days * 86_400
