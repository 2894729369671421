"""`dynamodb://table?region=us-east-1[&endpoint=http://…]`: trades in a DynamoDB table, behind an outbox on disk.

Amazon's libraries are not imported until a store is created.
"""

from aggregator.stores.definition import FILE_REMEDY, OpenStep
from aggregator.stores.dynamodb import parse_dynamodb_url
from aggregator.stores.trades.definition import CreatedTradeStore, TradeStoreKind, TradeStoreParts

_EXAMPLE = "dynamodb://trades?region=us-east-1"
TABLE_REMEDY = (
    "trades need a table of their own; check region, endpoint, credentials and rights, or use sqlite:///trades.db"
)


def _create(url: str, parts: TradeStoreParts) -> CreatedTradeStore:
    from aggregator.stores.trades.dynamodb_table import TradeTable  # noqa: PLC0415  # see above
    from aggregator.stores.trades.outbox import TradeOutbox  # noqa: PLC0415  # likewise

    at = parse_dynamodb_url(url)
    table = TradeTable(at.table, at.region, at.endpoint, parts.metrics, parts.retention, parts.now)
    outbox = TradeOutbox(parts.outbox_path, parts.outbox_max_bytes, table, parts.retention, parts.metrics, parts.now)
    steps = [
        OpenStep(table.open, TABLE_REMEDY, "trades_url"),
        OpenStep(outbox.open, FILE_REMEDY, "trades_outbox_path"),
    ]
    return CreatedTradeStore(outbox, steps)


DYNAMODB = TradeStoreKind(
    example=_EXAMPLE,
    form=f"{_EXAMPLE}[&endpoint=http://…]",
    check=parse_dynamodb_url,
    create=_create,
)
