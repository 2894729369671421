"""The answers about history.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from rt_price_aggregator_client.models.prices import LeftOut, Source


class StoredPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price in the history.

    `updated_at` is our time of computing it; `degraded` was determined at that time.
    """

    asset: str
    timestamp: datetime
    time: datetime
    price: Decimal
    sources: int
    spread: Decimal
    updated_at: datetime
    degraded: bool


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stored prices.

    `next` is the cursor of the next page; null on the last page.
    """

    asset: str
    prices: list[StoredPrice]
    next: str | None


class StoredPriceSources(msgspec.Struct, frozen=True, kw_only=True):
    """A price in the history, the tickers it was made of, and the exchanges that did not contribute."""

    asset: str
    timestamp: datetime
    time: datetime
    price: Decimal
    sources: list[Source]
    spread: Decimal
    updated_at: datetime
    degraded: bool
    left_out: list[LeftOut]


class HistorySourcesPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stored prices with their sources.

    `next` as in HistoryPage.
    """

    asset: str
    prices: list[StoredPriceSources]
    next: str | None


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """The prices, or the trades, of one interval.

    `start` is the beginning of the interval in unix seconds. Open, high, low and close are those of all that are
    stored of the interval, and count is their number.
    """

    start: datetime
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    count: int
    volume: Decimal | None
    """Of the trades, in base units.

    Null for prices, and for trades whose venues report no volumes.
    """
    vwap: Decimal | None
    """Σ price·volume / Σ volume of the trades, to ten significant digits; or null."""


class CandleList(msgspec.Struct, frozen=True, kw_only=True):
    """The candles of a range, oldest first.

    An interval without a price, or trade, has no candle.
    """

    asset: str
    interval: str
    """One of: 1m, 5m, 15m, 1h, 4h, 1d."""
    candles: list[Candle]
