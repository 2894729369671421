"""GET /prices/{asset}/candles: open, high, low and close of intervals, as JSON or CSV."""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse

from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS, Cursor, HistoryReader, check_range, rest_of
from aggregator.api.reads.trade_candles import MOST_TRADES, TradeCandleReader
from aggregator.api.routing import parameters
from aggregator.api.routing.description import Json, Response, json, query, text
from aggregator.api.routing.responses import NO_STORE as NO_STORE_HEADER
from aggregator.api.routing.responses import Row, asset_of, choice, csv_text, encoder_of, refuse_parameter, wants_csv
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    FORMAT,
    NO_HISTORY_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    SYMBOL,
    TIME_EXAMPLES,
    TIME_FORMATS,
    TIME_SCHEMA,
    Count,
    Symbol,
    Time,
)
from aggregator.errors import StoreUnavailable
from aggregator.models import Encode, Price, rfc_3339
from aggregator.ports import PriceReader, RangeTooLong
from aggregator.prices.candles import INTERVALS, Candle, CandleBuilder
from aggregator.prices.tiers import Catalog
from aggregator.trades.candles import TradeCandle
from aggregator.trades.ports import TradeReader

MOST_CANDLES = 100_000
_SOURCES = ("prices", "trades")
USUAL_CANDLES = 500
_PAGE = 1000  # prices in one read of the store
_Pages = AsyncIterator[Sequence[Candle]] | AsyncIterator[Sequence[TradeCandle]]
_COLUMNS = ("start", "time", "open", "high", "low", "close", "count", "volume", "vwap")
_CANDLE: Json = {
    "start": 1795241400,
    "time": "2026-11-21T06:10:00.000Z",
    "open": 77890.1,
    "high": 77912.5,
    "low": 77888,
    "close": 77896.49245,
    "count": 12,
    "volume": None,
    "vwap": None,
}
_TRADED: Json = _CANDLE | {"close": 77896.49, "volume": 1.625, "vwap": 77895.0625}
_Amount = Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": 0})]
_Volume = Annotated[
    Decimal | None,
    Meta(description="Of the trades, in base units. Null for prices, and for trades whose venues report no volumes"),
]
_Vwap = Annotated[
    Decimal | None, Meta(description="Σ price·volume / Σ volume of the trades, to ten significant digits; or null")
]


class TimedCandle(Struct, frozen=True):
    """The prices, or the trades, of one interval. `start` is the beginning of the interval in unix seconds.

    Open, high, low and close are those of all that are stored of the interval, and count is their number.
    """

    start: float
    time: Time
    open: _Amount
    high: _Amount
    low: _Amount
    close: _Amount
    count: Count
    volume: _Volume
    vwap: _Vwap


class CandleList(Struct, frozen=True):
    """The candles of a range, oldest first. An interval without a price, or trade, has no candle."""

    asset: Symbol
    interval: Annotated[str, Meta(extra_json_schema={"enum": list(INTERVALS)})]
    candles: tuple[TimedCandle, ...]


class CandlesRoute:
    """The route for candles. A read of a store may take `store_seconds`. `trades` is None where none are stored."""

    def __init__(
        self,
        catalog: Catalog,
        history: PriceReader,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
        trades: TradeReader | None = None,
    ) -> None:
        self._catalog = catalog
        self._reader = HistoryReader(history, store_seconds)
        self._trades = None if trades is None else TradeCandleReader(trades, now, store_seconds)
        self._now = now

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/prices/{asset:path}/candles",
        label="/prices",
        operation_id="getCandles",
        tag="history",
        summary="Open, high, low and close of intervals",
        description="A candle contains only prices between start and end: choose a multiple of the interval as start to"
        f" get a complete first candle. At most {MOST_CANDLES} intervals in one request, and with `source=trades` at"
        f" most {MOST_TRADES} trades. Without start, intervals with more trades than that are left out, the oldest"
        " first.",
        parameters=[
            ASSET,
            query(
                "interval",
                "The length of a candle. Days are UTC",
                {"type": "string", "enum": list(INTERVALS), "default": "1m"},
            ),
            query(
                "start",
                f"The start of the range, inclusive; {USUAL_CANDLES} intervals before its end if it is not given."
                f" {TIME_FORMATS}",
                TIME_SCHEMA,
                *TIME_EXAMPLES,
            ),
            query(
                "end",
                f"The end of the range, inclusive; now if it is not given. {TIME_FORMATS}",
                TIME_SCHEMA,
                *TIME_EXAMPLES,
            ),
            query(
                "source",
                "What the candles are made of: our prices, or the trades of the venues",
                {"type": "string", "enum": [*_SOURCES], "default": _SOURCES[0]},
            ),
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "The candles, sent while the history is read. If the history fails, the response ends early and is not"
                " complete JSON",
                (
                    json(
                        CandleList,
                        {"asset": SYMBOL, "interval": "1m", "candles": [_CANDLE]},
                        {"asset": SYMBOL, "interval": "1m", "candles": [_TRADED]},
                    ),
                    text("text/csv", csv_text(_COLUMNS, [_CANDLE])),
                ),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_HISTORY_NOW,
        },
        is_compressed=True,
    )
    async def candles(self, request: Request) -> HttpResponse:
        """Stream the candles: the history is read in pages, and complete candles are sent after each page."""
        asset = asset_of(request, self._catalog)
        as_csv, encode = wants_csv(request), encoder_of(request)
        interval = choice(request, "interval", "1m", tuple(INTERVALS))
        seconds = INTERVALS[interval]
        usual_start = max(0.0, min(parameters.time_of(request, "end", math.inf), self._now()) - USUAL_CANDLES * seconds)
        start = parameters.time_of(request, "start", usual_start)
        end = parameters.time_of(request, "end", max(start, self._now() + CLOCK_MARGIN))
        check_range(start, end)
        if (end - start) / seconds > MOST_CANDLES:
            raise refuse_parameter(f"start to end must be at most {MOST_CANDLES} candles of {interval}")
        if choice(request, "source", "prices", _SOURCES if self._trades else _SOURCES[:1]) == "trades":
            pages: _Pages = _one_page(await self._of_trades(request, asset.symbol, seconds, start, end))
        else:
            window = Cursor(asset.symbol, start, end, newest_first=False)
            # Before the response begins: afterwards its status can no longer become 503.
            first_page = await self._reader.read_or_refuse(window, _PAGE)
            pages = self._candles(window, first_page, seconds)
        if as_csv:
            return StreamingResponse(_csv_lines(pages), headers=NO_STORE_HEADER, media_type="text/csv")
        head = encode({"asset": asset.symbol, "interval": interval})[:-1] + b',"candles":['
        return StreamingResponse(
            _json_array(head, pages, encode), headers=NO_STORE_HEADER, media_type="application/json"
        )

    async def _of_trades(
        self, request: Request, symbol: str, seconds: int, start: float, end: float
    ) -> Sequence[TradeCandle]:
        assert self._trades is not None  # noqa: S101  # `source` has no such value without it
        read = self._trades.between if "start" in request.query_params else self._trades.newest
        return await read(symbol, seconds, start, end)

    async def _candles(self, window: Cursor, prices: Sequence[Price], seconds: int) -> AsyncIterator[Sequence[Candle]]:
        """Yield the complete candles after each page of the history.

        Raises StoreError if a page cannot be read. The response is then cut off, so it cannot be taken for complete.
        """
        builder = CandleBuilder(seconds)
        while prices:
            yield list(builder.add((price.timestamp, price.price) for price in prices))
            if len(prices) < _PAGE or prices[-1].timestamp >= window.end:
                break
            window = rest_of(window, prices[-1])
            try:
                prices = await self._reader.read(window, _PAGE)
            except RangeTooLong as error:
                raise StoreUnavailable(str(error)) from error
        yield list(builder.finish())


def _row(candle: Candle | TradeCandle) -> Row:
    start = rfc_3339(candle.start)
    # A ticker's volume is that of 24 hours, so no sum or mean of it is the volume or VWAP of an interval.
    volume, vwap = (candle.volume, candle.vwap) if isinstance(candle, TradeCandle) else (None, None)
    cells = (candle.start, start, candle.open, candle.high, candle.low, candle.close, candle.count, volume, vwap)
    return dict(zip(_COLUMNS, cells, strict=True))


async def _one_page(candles: Sequence[TradeCandle]) -> AsyncIterator[Sequence[TradeCandle]]:
    yield candles


async def _csv_lines(pages: _Pages) -> AsyncIterator[str]:
    yield csv_text(_COLUMNS, [])
    async for candles in pages:
        yield csv_text(_COLUMNS, map(_row, candles), header=False)


async def _json_array(head: bytes, pages: _Pages, encode: Encode) -> AsyncIterator[bytes]:
    yield head
    separator = b""
    async for candles in pages:
        if candles:
            yield separator + b",".join(encode(_row(candle)) for candle in candles)
            separator = b","
    yield b"]}"
