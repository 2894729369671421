"""The trade stream of a process: store, event log, processor and dead letters."""

from collections.abc import Sequence
from functools import partial

import msgspec

from aggregator.exchanges.push.trade_feed import TradeSinks
from aggregator.live.topics import Publisher
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.parts.analytics.build_analytics import EventStores, open_analytics, open_event_stores
from aggregator.runtime.parts.build_outlets import behind_trades
from aggregator.runtime.parts.trades.build_features import open_closes
from aggregator.runtime.parts.trades.trade_log import open_log
from aggregator.runtime.process import Process
from aggregator.runtime.trade_stores import open_trade_store
from aggregator.settings import PREFIX
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.trades.dead_letters import TradeDeadLetters
from aggregator.stores.trades.definition import nothing_longer
from aggregator.trades.analytic import Analytic
from aggregator.trades.event_log.records import rejected_trade
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import SavedWindows, TradeLog, TradeStore
from aggregator.trades.processor import Processor

_DRAIN_SECONDS = 5.0  # for the trades that wait when the process stops


class TradeStream(msgspec.Struct, frozen=True):
    """The opened parts of the trade stream."""

    store: TradeStore
    log: TradeLog
    processor: Processor
    dead_letters: TradeDeadLetters
    events: EventStores
    analytics: Sequence[Analytic]

    @property
    def sinks(self) -> TradeSinks:
        """The destinations of the trades of venues' feeds, and of records that are none."""
        return TradeSinks(self.log, self.dead_letters)


async def open_trades(
    process: Process, attempt: Attempt, publisher: Publisher | None = None, saved: SavedWindows | None = None
) -> TradeStream:
    """Open store and log of trades. Raises CannotGoOn. Call `run_trades` once all stores are open.

    The processor publishes through `publisher`; on the bus of this process, if None. `saved` keeps the windows of the
    partitions of a log that processes share.
    """
    settings, now = process.settings, process.clock.now
    archive = process.archive
    keep_from = nothing_longer if archive is None else archive.keep_trades_from
    name = "" if archive is None else archive.name
    opened = await open_trade_store(settings, process.metrics, process.stack, attempt, now, keep_from, name)
    store = behind_trades(process, opened if archive is None else archive.trades(opened))
    dead_letters = await open_dead_letters(process, attempt)
    log = await open_log(process, attempt, dead_letters)
    publisher = publisher or process.bus
    closes = await open_closes(process, attempt)
    stores = await open_event_stores(process, attempt)
    analytics = await open_analytics(process, stores, publisher)
    processor = Processor(
        log,
        store,
        [] if settings.role == "processor" else list(process.catalog.assets),  # no route of it shows features
        publisher,
        process.metrics.trades,
        settings.allowed_lateness,
        settings.window_trades,
        now,
        analytics=analytics,
        saved=saved,
        closes=closes,
        dead_letters=dead_letters,
    )
    return TradeStream(store, log, processor, dead_letters, stores, analytics)


async def open_sinks(process: Process, attempt: Attempt) -> TradeSinks | None:
    """Open a log that processes share, to append to it; None where the log is inside another process.

    Raises CannotGoOn.
    """
    if not process.settings.shares_log:
        return None
    dead_letters = await open_dead_letters(process, attempt)
    log = await open_log(process, attempt, dead_letters)
    await process.keep_running(dead_letters)
    return TradeSinks(log, dead_letters)


async def open_dead_letters(process: Process, attempt: Attempt) -> TradeDeadLetters:
    """Return the open file of rejected records, closed with the process; its `run` writes them. Raises CannotGoOn."""
    dead_letters = TradeDeadLetters(process.settings.dead_letters_path, process.metrics.trades, process.clock.now)
    process.stack.push_async_callback(dead_letters.close)
    await attempt(dead_letters.open, f"{PREFIX}DEAD_LETTERS_PATH", FILE_REMEDY)
    return dead_letters


async def run_trades(process: Process, trades: TradeStream) -> None:
    """Process trades from now on; a stop waits for those that have come."""
    await process.keep_running(trades.store)
    if trades.processor.saver is not None:
        await process.keep_running(trades.processor.saver)
    await process.keep_running(trades.processor)
    process.stack.push_async_callback(trades.processor.drain, _DRAIN_SECONDS)
    process.metrics.before_text(trades.processor.report)
    await process.keep_running(trades.dead_letters)
    if process.archive is not None:
        process.archive.letters = trades.dead_letters
    parser = Parser(process.catalog.find)
    process.beside_server.append(trades.dead_letters.retry(partial(rejected_trade, parser), trades.log))
