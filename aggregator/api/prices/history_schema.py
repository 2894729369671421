"""The rows of stored prices: their columns, models for the OpenAPI document, and examples."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from aggregator.api.prices.schema import LATE, SOURCE
from aggregator.api.routing.description import Json, query, text
from aggregator.api.routing.responses import Row, csv_text
from aggregator.api.routing.shared_descriptions import SYMBOL, Count, Seconds, Symbol, Time
from aggregator.models import LeftOut, Price, Source, rfc_3339

KEPT = (
    "Every published price is stored, unless the service runs with HISTORY_MIN_GAP: then only the last price of each"
    " gap of so many seconds is."
)
COLUMNS = ("asset", "timestamp", "time", "price", "sources", "spread", "updated_at", "degraded")
ROW: Json = {
    "asset": SYMBOL,
    "timestamp": 1795241427.047,
    "time": "2026-11-21T06:10:27.047Z",
    "price": 77896.49245,
    "sources": 3,
    "spread": 0.0002019346379,
    "updated_at": 1795241427.123456,
    "degraded": False,
}
ROW_AS_CSV = text("text/csv", csv_text(COLUMNS, [ROW]))
ROW_WITH_SOURCES: Json = ROW | {"sources": [SOURCE, SOURCE | {"exchange": "exchange3"}], "left_out": [LATE]}
CURSOR = "AAECAwQFBgdbImJ0Y3VzZHQiLDAsMSx0cnVlXQ"
SOURCES = query(
    "sources",
    "Whether each price has its `sources` and `left_out`, as GET /prices/{asset}/sources shows them, instead of the"
    " number of sources. JSON only",
    {"type": "boolean", "default": False},
)


class StoredPrice(Struct, frozen=True):
    """A price in the history. `updated_at` is our time of computing it; `degraded` was determined at that time."""

    asset: Symbol
    timestamp: Seconds
    time: Time
    price: Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": 0})]
    sources: Count
    spread: Annotated[Decimal, Meta(extra_json_schema={"minimum": 0})]
    updated_at: Seconds
    degraded: bool


class HistoryPage(Struct, frozen=True):
    """A page of stored prices. `next` is the cursor of the next page; null on the last page."""

    asset: Symbol
    prices: tuple[StoredPrice, ...]
    next: str | None


class StoredPriceSources(Struct, frozen=True):
    """A price in the history, the tickers it was made of, and the exchanges that did not contribute."""

    asset: Symbol
    timestamp: Seconds
    time: Time
    price: Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": 0})]
    sources: tuple[Source, ...]
    spread: Annotated[Decimal, Meta(extra_json_schema={"minimum": 0})]
    updated_at: Seconds
    degraded: bool
    left_out: tuple[LeftOut, ...]


class HistorySourcesPage(Struct, frozen=True):
    """A page of stored prices with their sources. `next` as in HistoryPage."""

    asset: Symbol
    prices: tuple[StoredPriceSources, ...]
    next: str | None


def row_of(price: Price, *, with_sources: bool = False) -> Row:
    """Return the row of a price. With sources, it is for JSON only."""
    cells = (
        price.asset,
        price.timestamp,
        rfc_3339(price.timestamp),
        price.price,
        price.sources if with_sources else len(price.sources),
        price.spread,
        price.updated_at,
        price.degraded,
    )
    row: Row = dict(zip(COLUMNS, cells, strict=True))
    return row | {"left_out": price.left_out} if with_sources else row
