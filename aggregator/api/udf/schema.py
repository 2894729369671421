"""TradingView's UDF: models for the OpenAPI document, parameters and examples.

Source: the documentation of TradingView's charting library, version 29, "UDF" and "LibrarySymbolInfo".
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from aggregator.api.routing.description import Json, Parameter, Response, json, query, text
from aggregator.api.routing.parameters import LATEST_TIME
from aggregator.api.routing.responses import INVALID_SYMBOL, NO_HISTORY, NOT_FOUND, Code, Refusal
from aggregator.api.routing.shared_descriptions import NO_STORE, NO_STORE_UNLESS_TEXT, RETRY_AFTER, SYMBOL
from aggregator.prices.candles import INTERVALS
from aggregator.prices.tiers import MAX_SYMBOL

EXCHANGE = "AGGREGATE"  # where a chart shows an exchange; prices here are of several
TRADES = "TRADES"  # the exchange of symbols whose bars are made of trades
TYPE = "crypto"
RESOLUTIONS = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "1D": "1d", "D": "1d"}
SUPPORTED = tuple(name for name in RESOLUTIONS if name != "D")  # D is another name of 1D
INTRADAY = tuple(name for name in SUPPORTED if name != "1D")
SECONDS = {name: INTERVALS[interval] for name, interval in RESOLUTIONS.items()}
MOST_BARS = 10_000  # in one response
MOST_FOUND = 100
USUAL_FOUND = 30
MOST_TEXT = 64  # characters of a query, type or exchange

_Prices = Annotated[tuple[float, ...], Meta(description="Prices in units of the quote asset, one for each bar")]
_OfTrades = tuple[float | None, ...] | UnsetType
_Volumes = Annotated[_OfTrades, Meta(description="Volumes in base units; null where the venues report none")]
_Vwaps = Annotated[_OfTrades, Meta(description="Volume-weighted prices. Not a part of UDF")]


class UdfOption(Struct, frozen=True):
    """An exchange or symbol type that a search can be limited to; an empty value means all."""

    name: str
    value: str
    desc: str | UnsetType = UNSET


class UdfConfig(Struct, frozen=True):
    """The capabilities of the datafeed."""

    supported_resolutions: tuple[str, ...]
    supports_search: bool
    supports_group_request: bool
    supports_marks: bool
    supports_timescale_marks: bool
    supports_time: bool
    exchanges: tuple[UdfOption, ...]
    symbols_types: tuple[UdfOption, ...]


class UdfSymbol(Struct, frozen=True):
    """A symbol as a chart needs it (LibrarySymbolInfo). One step of the price is minmov / pricescale."""

    name: str
    ticker: str
    full_name: str
    description: str
    type: str
    session: str
    timezone: str
    exchange: str
    listed_exchange: str
    currency_code: str
    format: str
    minmov: int
    pricescale: Annotated[
        int,
        Meta(ge=1, description="A power of ten: enough digits for the newest price, which has ten significant ones"),
    ]
    has_intraday: bool
    has_seconds: bool
    has_daily: bool
    has_weekly_and_monthly: bool
    has_empty_bars: bool
    intraday_multipliers: tuple[str, ...]
    supported_resolutions: tuple[str, ...]
    visible_plots_set: str
    data_status: str


class UdfFound(Struct, frozen=True):
    """A symbol that a search has found. `symbol` is for people, `ticker` is the symbol of this API."""

    symbol: str
    full_name: str
    description: str
    exchange: str
    ticker: str
    type: str


class UdfBars(Struct, frozen=True):
    """Bars as columns, oldest first. `t` is the beginning of each bar in unix seconds.

    Bars of trades have `v` and `vwap`. Bars of prices have neither: a ticker's volume is that of 24 hours.
    """

    s: Literal["ok"]
    t: tuple[int, ...]
    o: _Prices
    h: _Prices
    l: _Prices  # noqa: E741  # the name in the protocol
    c: _Prices
    v: _Volumes = UNSET
    vwap: _Vwaps = UNSET


class UdfNoData(Struct, frozen=True):
    """No bar begins in the range. `nextTime` is the next older bar in unix seconds; absent if there is none."""

    s: Literal["no_data"]
    nextTime: int | UnsetType = UNSET  # noqa: N815  # the name in the protocol


class UdfRefusal(Refusal, frozen=True, kw_only=True):
    """The reason of a refusal, for clients of UDF (`s`, `errmsg`) and for all others (`msg`, `code`)."""

    s: Literal["error"]
    errmsg: str


def udf_refusal(refusal: Refusal) -> UdfRefusal:
    """Return the refusal in the form of UDF."""
    return UdfRefusal(refusal.msg, refusal.code, refusal.near, s="error", errmsg=refusal.msg)


def _example(refusal: Refusal) -> object:
    return msgspec.to_builtins(udf_refusal(refusal))


BAD_UDF = Response(
    "The symbol or a parameter is malformed. `errmsg` names it",
    (
        json(
            UdfRefusal,
            _example(INVALID_SYMBOL),
            _example(
                Refusal(f"resolution must be one of {', '.join(SUPPORTED)}, D", Code.INVALID_PARAMETER),
            ),
        ),
        text("text/plain"),
    ),
    (NO_STORE_UNLESS_TEXT,),
    component="BadUdf",
)
UDF_NOT_LISTED = Response(
    "The asset is not listed. `near` has listed ones that it may mean",
    (json(UdfRefusal, _example(msgspec.structs.replace(NOT_FOUND, near=(SYMBOL, "btcusd")))),),
    (NO_STORE,),
    component="UdfNotListed",
)
UDF_NO_HISTORY = Response(
    "The history cannot be read now. Without `s`, the service is at its limit of concurrent requests, or it stops",
    (json((UdfRefusal, Refusal), _example(NO_HISTORY)),),
    (NO_STORE, RETRY_AFTER),
    component="UdfNoHistory",
)

_FOUND: Json = {
    "symbol": "BTCUSDT",
    "full_name": f"{EXCHANGE}:BTCUSDT",
    "description": "BTC/USDT",
    "exchange": EXCHANGE,
    "ticker": SYMBOL,
    "type": TYPE,
}
FOUND_SYMBOLS = json(
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in _FOUND},
            "required": [*_FOUND],
        },
    },
    [_FOUND],
)
SYMBOL_EXAMPLE: Json = {
    "name": "BTCUSDT",
    "ticker": SYMBOL,
    "full_name": f"{EXCHANGE}:BTCUSDT",
    "description": "BTC/USDT",
    "type": TYPE,
    "session": "24x7",
    "timezone": "Etc/UTC",
    "exchange": EXCHANGE,
    "listed_exchange": EXCHANGE,
    "currency_code": "USDT",
    "format": "price",
    "minmov": 1,
    "pricescale": 100_000,
    "has_intraday": True,
    "has_seconds": False,
    "has_daily": True,
    "has_weekly_and_monthly": False,
    "has_empty_bars": False,
    "intraday_multipliers": [*INTRADAY],
    "supported_resolutions": [*SUPPORTED],
    "visible_plots_set": "ohlc",
    "data_status": "streaming",
}
BARS_EXAMPLES: tuple[Json, ...] = (
    {"s": "ok", "t": [1795241400], "o": [77890.1], "h": [77912.5], "l": [77888.0], "c": [77896.49245]},
    {
        "s": "ok",
        "t": [1795241400],
        "o": [77890.1],
        "h": [77912.5],
        "l": [77888.0],
        "c": [77896.49],
        "v": [1.625],
        "vwap": [77895.0625],
    },
    {"s": "no_data", "nextTime": 1795241400},
    {"s": "no_data"},
)

_TIME: Json = {"type": "integer", "minimum": -int(LATEST_TIME), "maximum": int(LATEST_TIME)}
_TEXT: Json = {"type": "string", "maxLength": MOST_TEXT}

UDF_ASSET = Parameter(
    "symbol",
    "query",
    f"A symbol, in upper or lower case, with `-`, `/` or `_` between base and quote, or without. `{TRADES}:` before it"
    f" means bars of trades, `{EXCHANGE}:` or nothing those of our prices",
    {
        "type": "string",
        "maxLength": MAX_SYMBOL + len(EXCHANGE) + 2,
        "pattern": f"^(({EXCHANGE}|{TRADES}):)?[A-Za-z0-9]+([-/_][A-Za-z0-9]+)?$",
    },
    (SYMBOL,),
    required=True,
    component="UdfSymbol",
)
SEARCH_PARAMETERS = [
    query("query", "A part of the symbol; all symbols if it is empty", _TEXT, "btc"),
    query("type", "A symbol type of /udf/config; every type if it is empty", _TEXT, ""),
    query("exchange", "An exchange of /udf/config; every exchange if it is empty", _TEXT, ""),
    query(
        "limit",
        "The largest number of symbols",
        {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": USUAL_FOUND},
        USUAL_FOUND,
    ),
]
HISTORY_PARAMETERS = [
    UDF_ASSET,
    query(
        "resolution",
        "The length of a bar: minutes, or a day",
        {"type": "string", "enum": [*RESOLUTIONS]},
        "1",
        required=True,
    ),
    query("from", "The range begins here, inclusive. Unix seconds. Ignored with `countback`", _TIME),
    query("to", "The range ends here, exclusive; now if it is not given. Unix seconds", _TIME),
    query(
        "countback",
        "The number of bars before `to`, whatever `from` is",
        {"type": "integer", "minimum": 1, "maximum": MOST_BARS},
        300,
    ),
]

CONFIG = UdfConfig(
    supported_resolutions=SUPPORTED,
    supports_search=True,
    supports_group_request=False,
    supports_marks=False,
    supports_timescale_marks=False,
    supports_time=True,
    exchanges=(
        UdfOption("All exchanges", "", ""),
        UdfOption(EXCHANGE, EXCHANGE, "One price of several exchanges"),
        UdfOption(TRADES, TRADES, "The trades of several exchanges, with volumes"),
    ),
    symbols_types=(UdfOption("All types", ""), UdfOption("Crypto", TYPE)),
)
