"""The JSON of trades and features: models, rows and examples."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from aggregator.api.routing.description import Json, text
from aggregator.api.routing.responses import Row, csv_text
from aggregator.api.routing.shared_descriptions import SYMBOL, Seconds, Symbol, Time
from aggregator.models import Side, Trade, rfc_3339
from aggregator.trades.features import Features

_Price = Annotated[Decimal, Meta(description="In units of the quote asset", extra_json_schema={"exclusiveMinimum": 0})]
_Volume = Annotated[
    Decimal | None,
    Meta(description="In units of the base asset; null if the venue does not report it"),
]
_Id = Annotated[str, Meta(description="The venue's id; a hash of what was sent where the venue gives none")]
_SideOrNone = Annotated[Side | None, Meta(description="Whether the taker bought or sold; null if unknown")]
_Sequence = Annotated[int | None, Meta(description="The venue's sequence number; null if it gives none")]
_Vwap = Annotated[float | None, Meta(description="Volume-weighted price; null without a volume in the window")]
_Mean = Annotated[float | None, Meta(description="Mean price of the last 300 s")]
_Zscore = Annotated[
    float | None,
    Meta(
        description="(volume - mean) / standard deviation of up to 19 volumes before it; 0 if these are all equal, null"
        " while they are fewer than two"
    ),
]
_Momentum = Annotated[
    float | None,
    Meta(description="Change in percent against the newest price that is at least 60 s old; null before there is one"),
]
_Frequency = Annotated[int, Meta(description="Trades of the last 60 s", ge=0)]

ModelState = Annotated[
    Literal["off", "warming_up", "ready", "unknown"],
    Meta(
        description="The model that looks for unusual trades of the asset: `warming_up` before the first, `ready` with"
        " one, `off` where nothing looks for them, `unknown` where another process has the models"
    ),
]

COLUMNS = ("asset", "timestamp", "time", "price", "volume", "venue", "id", "side", "sequence_number")
ROW: Json = {
    "asset": SYMBOL,
    "timestamp": 1795241427.047125,
    "time": "2026-11-21T06:10:27.047125Z",
    "price": 77896.49,
    "volume": 0.0125,
    "venue": "exchange1",
    "id": "4711",
    "side": "buy",
    "sequence_number": None,
}
ROW_AS_CSV = text("text/csv", csv_text(COLUMNS, [ROW]))
QUOTE: Json = {
    "asset": SYMBOL,
    "price": 77896.49,
    "volume": 0.0125,
    "timestamp": 1795241427.047125,
    "venue": "exchange1",
    "id": "4711",
    "side": "buy",
    "sequence_number": None,
}
AGGREGATIONS: Json = {
    "asset": SYMBOL,
    "vwap_1min": 77896.4875,
    "vwap_5min": 77901.25,
    "rolling_avg_5min": 77899.125,
    "volume_zscore": 0.75,
    "price_momentum": -0.0625,
    "trade_frequency": 42,
    "window_start": 1795241127.047125,
    "window_end": 1795241427.047125,
}
FEATURES: Json = {
    "asset": SYMBOL,
    "vwap_1min": 77896.4875,
    "vwap_5min": 77901.25,
    "rolling_avg_5min": 77899.125,
    "volume_zscore": 0.75,
    "price_momentum": None,
    "trade_frequency": 42,
    "vwap_deviation": -4.76,
    "window_start": 1795241127.047125,
    "window_end": 1795241427.047125,
    "updated_at": 1795241427.05,
    "warming_up": ["price_momentum"],
    "by_second": False,
    "anomaly_model": "ready",
}


class StoredTrade(Struct, frozen=True):
    """A stored trade: one execution at a venue."""

    asset: Symbol
    timestamp: Seconds
    time: Time
    price: _Price
    volume: _Volume
    venue: str
    id: _Id
    side: _SideOrNone
    sequence_number: _Sequence


class TradePage(Struct, frozen=True):
    """A page of stored trades. `next` is the cursor of the next page; null on the last page."""

    asset: Symbol
    trades: tuple[StoredTrade, ...]
    next: str | None


class Quote(Struct, frozen=True):
    """The last trade of an asset by the time of its venue."""

    asset: Symbol
    price: _Price
    volume: _Volume
    timestamp: Seconds
    venue: str
    id: _Id
    side: _SideOrNone
    sequence_number: _Sequence


class Aggregations(Struct, frozen=True):
    """Figures of an asset's trades at its newest trade, whose time is `window_end`; `window_start` is 300 s before."""

    asset: Symbol
    vwap_1min: _Vwap
    vwap_5min: _Vwap
    rolling_avg_5min: _Mean
    volume_zscore: _Zscore
    price_momentum: _Momentum
    trade_frequency: _Frequency
    window_start: Seconds
    window_end: Seconds


class FeaturesAnswer(Features, frozen=True, gc=False):
    """The features of an asset's trades, and the state of its anomaly model when the newest trade was measured."""

    anomaly_model: ModelState = "off"


def row_of(trade: Trade) -> Row:
    """Return the row of a trade."""
    cells = (
        trade.asset,
        trade.timestamp,
        rfc_3339(trade.timestamp),
        trade.price,
        trade.volume,
        trade.venue,
        trade.id,
        trade.side,
        trade.sequence,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def quote_of(trade: Trade) -> Quote:
    """Return a trade as /quotes shows it."""
    return Quote(
        trade.asset,
        trade.price,
        trade.volume,
        trade.timestamp,
        trade.venue,
        trade.id,
        trade.side,
        trade.sequence,
    )


def aggregations_of(features: Features) -> Aggregations:
    """Return the part of the features that /aggregations shows."""
    return Aggregations(
        features.asset,
        features.vwap_1min,
        features.vwap_5min,
        features.rolling_avg_5min,
        features.volume_zscore,
        features.price_momentum,
        features.trade_frequency,
        features.window_start,
        features.window_end,
    )
