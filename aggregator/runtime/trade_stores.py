"""Opens the store of trades that the settings name: for a process that stores them, or one that only reads them."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from math import inf

import structlog

from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics
from aggregator.runtime.attempts import Attempt, attempt, run_steps
from aggregator.settings import Settings
from aggregator.stores.trades.definition import CreatedTradeReader, TradeStoreParts, nothing_longer
from aggregator.stores.trades.registry import trade_store
from aggregator.trades.ports import TradeStore

_once: Attempt = attempt


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
