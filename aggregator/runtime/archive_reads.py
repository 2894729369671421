"""Reads of trades that go on in the archive, where the settings name one."""

from aggregator.api.history_reader import STORE_SECONDS
from aggregator.archive.address import parse_archive_url
from aggregator.archive.archived_trades import ARCHIVE_SECONDS, ArchivedTrades
from aggregator.runtime.process import Process
from aggregator.trades.ports import TradeReader


def with_archive(process: Process, stored: TradeReader) -> tuple[TradeReader, float]:
    """Return a reader of stored and archived trades, closed with the process, and the seconds that a read may take."""
    settings = process.settings
    if not settings.archive_url:
        return stored, STORE_SECONDS
    address, now = parse_archive_url(settings.archive_url), process.clock.now
    reader = ArchivedTrades(stored, address, settings.trades_retention, now, STORE_SECONDS)
    process.stack.callback(reader.close)
    return reader, STORE_SECONDS + ARCHIVE_SECONDS
