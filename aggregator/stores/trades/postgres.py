"""`postgresql://user@host:5432/database[?sslmode=…]`: trades in a PostgreSQL database.

No outbox: a trade is stored once the database has it, and waits in the event log until then. asyncpg is not imported
until a store is created.
"""

from typing import TYPE_CHECKING

from aggregator.stores.definition import OpenStep
from aggregator.stores.postgres.address import EXAMPLE, FORM, REMEDY, parse_postgres_url
from aggregator.stores.trades.definition import CreatedTradeReader, CreatedTradeStore, TradeStoreKind, TradeStoreParts

if TYPE_CHECKING:
    from aggregator.stores.trades.postgres_table import PostgresTrades


def _create(url: str, parts: TradeStoreParts) -> CreatedTradeStore:
    store = _store(url, parts)
    return CreatedTradeStore(store, [OpenStep(store.open, REMEDY, "trades_url")])


def _create_reader(url: str, parts: TradeStoreParts) -> CreatedTradeReader:
    store = _store(url, parts)
    return CreatedTradeReader(store, [OpenStep(store.open, REMEDY, "trades_url")], store.close)


def _store(url: str, parts: TradeStoreParts) -> "PostgresTrades":
    from aggregator.stores.trades.postgres_table import PostgresTrades  # noqa: PLC0415  # it imports asyncpg

    address = parse_postgres_url(url)
    return PostgresTrades(
        address,
        parts.postgres_password,
        parts.retention,
        parts.now,
        keep_from=parts.keep_from,
        archiver=parts.archiver,
    )


POSTGRES = TradeStoreKind(
    example=EXAMPLE, form=FORM, check=parse_postgres_url, create=_create, create_reader=_create_reader
)
