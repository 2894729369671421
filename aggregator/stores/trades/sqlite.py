"""`sqlite:///file.db`: trades in a local SQLite file."""

from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.stores.trades.definition import CreatedTradeStore, TradeStoreKind, TradeStoreParts
from aggregator.stores.trades.memory import MemoryTrades


def _create(_: str, parts: TradeStoreParts) -> CreatedTradeStore:
    return CreatedTradeStore(MemoryTrades(parts.retention, parts.now), [])  # the lead replaces this


SQLITE = TradeStoreKind(
    example="sqlite:///trades.db",
    form="sqlite:///trades.db (relative path; //// for an absolute one)",
    check=parse_sqlite_url,
    create=_create,
)
