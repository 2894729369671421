"""`dynamodb://table?region=us-east-1[&endpoint=http://…]`: trades in a DynamoDB table, behind an outbox on disk.

Amazon's libraries are not imported until a store is created.
"""

from typing import TYPE_CHECKING

from aggregator.stores.definition import FILE_REMEDY, OpenStep
from aggregator.stores.dynamodb import parse_dynamodb_url
from aggregator.stores.trades.definition import CreatedTradeReader, CreatedTradeStore, TradeStoreKind, TradeStoreParts

if TYPE_CHECKING:
    from aggregator.stores.trades.dynamodb_table import TradeTable

_EXAMPLE = "dynamodb://trades?region=us-east-1"
TABLE_REMEDY = (
    "trades need a table of their own; check region, endpoint, credentials and rights, or use sqlite:///trades.db"
)


def _create(url: str, parts: TradeStoreParts) -> CreatedTradeStore:
    from aggregator.stores.trades.outbox import TradeOutbox  # noqa: PLC0415  # for a created store only

    table = _table(url, parts)
    outbox = TradeOutbox(parts.outbox_path, parts.outbox_max_bytes, table, parts.retention, parts.metrics, parts.now)
    steps = [
        OpenStep(table.open, TABLE_REMEDY, "trades_url"),
        OpenStep(outbox.open, FILE_REMEDY, "trades_outbox_path"),
    ]
    return CreatedTradeStore(outbox, steps)


def _create_reader(url: str, parts: TradeStoreParts) -> CreatedTradeReader:
    """Return a reader of the table alone: the outbox is a file of the process that takes the trades in."""
    table = _table(url, parts)
    return CreatedTradeReader(table, [OpenStep(table.open, TABLE_REMEDY, "trades_url")], table.close)


def _table(url: str, parts: TradeStoreParts) -> "TradeTable":
    from aggregator.stores.trades.dynamodb_table import TradeTable  # noqa: PLC0415  # it imports Amazon's libraries

    at = parse_dynamodb_url(url)
    return TradeTable(at.table, at.region, at.endpoint, parts.metrics, parts.retention, parts.now)


DYNAMODB = TradeStoreKind(
    example=_EXAMPLE,
    form=f"{_EXAMPLE}[&endpoint=http://…]",
    check=parse_dynamodb_url,
    create=_create,
    create_reader=_create_reader,
)
