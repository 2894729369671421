"""Reads that go on in the archive, where the settings name one."""

from typing import NamedTuple

from aggregator.api.reads.history_reader import STORE_SECONDS
from aggregator.archive.reads.archive_reads import ARCHIVE_SECONDS, ArchiveReads
from aggregator.archive.reads.archived_history import ArchivedHistory
from aggregator.archive.reads.archived_trades import ArchivedTrades
from aggregator.archive.storages.address import parse_archive_url
from aggregator.ports import History, PriceReader
from aggregator.runtime.process import Process
from aggregator.runtime.stores import retention_of
from aggregator.trades.ports import TradeReader


class StoredReads(NamedTuple):
    """Prices and trades for routes that answer for old times, and the seconds that one read may take."""

    history: PriceReader
    trades: TradeReader | None
    seconds: float


def with_archive(process: Process, history: History, trades: TradeReader | None) -> StoredReads:
    """Return readers of stored and archived prices and trades, closed with the process."""
    settings, now = process.settings, process.clock.now
    if not settings.archive_url:
        return StoredReads(history, trades, STORE_SECONDS)
    reads = ArchiveReads(parse_archive_url(settings.archive_url))
    process.stack.callback(reads.close)
    retention = retention_of(settings)  # None: the history has all prices
    return StoredReads(
        history if retention is None else ArchivedHistory(history, reads, retention, now, STORE_SECONDS),
        None if trades is None else ArchivedTrades(trades, reads, settings.trades_retention, now, STORE_SECONDS),
        STORE_SECONDS + ARCHIVE_SECONDS,
    )
