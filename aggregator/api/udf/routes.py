"""TradingView's UDF datafeed at /udf: config, symbols, search, history, time.

Refusals have the usual status and body, and in addition `s` and `errmsg`: TradingView's own client reads the body and
ignores the status, other clients look at the status first.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse

from aggregator.api.reads.bar_reader import BarReader
from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS
from aggregator.api.reads.trade_candles import MOST_TRADES, TradeCandleReader
from aggregator.api.routing.description import Response, json, text
from aggregator.api.routing.parameters import LATEST_TIME
from aggregator.api.routing.responses import NO_STORE as NO_STORE_HEADER
from aggregator.api.routing.responses import (
    Refused,
    answer,
    asset_named,
    choice,
    refuse,
    refuse_parameter,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE
from aggregator.api.udf.bars import columns, next_time, traded_columns
from aggregator.api.udf.schema import (
    BAD_UDF,
    BARS_EXAMPLES,
    CONFIG,
    EXCHANGE,
    FOUND_SYMBOLS,
    HISTORY_PARAMETERS,
    MOST_BARS,
    MOST_FOUND,
    MOST_TEXT,
    RESOLUTIONS,
    SEARCH_PARAMETERS,
    SECONDS,
    SYMBOL_EXAMPLE,
    TRADES,
    TYPE,
    UDF_ASSET,
    UDF_NO_HISTORY,
    UDF_NOT_LISTED,
    USUAL_FOUND,
    UdfBars,
    UdfConfig,
    UdfNoData,
    UdfSymbol,
    udf_refusal,
)
from aggregator.api.udf.symbols import found_symbol, search, symbol_info
from aggregator.models import Asset
from aggregator.ports import History
from aggregator.prices.tiers import Catalog
from aggregator.trades.ports import TradeReader

_SENDING_SECONDS = 60.0
_INTEGER = re.compile("-?[0-9]{1,12}", re.ASCII)


class UdfRoutes:
    """The routes of the datafeed. A read of a store may take `store_seconds`.

    `trades` is None where none are stored: then there are no symbols of the exchange TRADES.
    """

    def __init__(
        self,
        catalog: Catalog,
        history: History,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
        trades: TradeReader | None = None,
    ) -> None:
        self._catalog = catalog
        self._trades = None if trades is None else TradeCandleReader(trades, now, store_seconds)
        self._bars = BarReader(history, self._settle, now, store_seconds)
        self._now = now

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/udf/config",
        label="/udf",
        operation_id="getUdfConfig",
        tag="history",
        summary="UDF: what the datafeed supports",
        responses={200: Response("The configuration", (json(UdfConfig, msgspec.to_builtins(CONFIG)),), (NO_STORE,))},
    )
    async def config(self, _: Request) -> HttpResponse:
        """Return the configuration."""
        return answer(CONFIG)

    @Route(
        "GET",
        "/udf/time",
        label="/udf",
        operation_id="getUdfTime",
        tag="history",
        summary="UDF: the time of the service",
        responses={200: Response("Unix seconds", (text("text/plain", "1795241427"),), (NO_STORE,))},
    )
    async def time(self, _: Request) -> HttpResponse:
        """Return the time in unix seconds, without milliseconds."""
        return PlainTextResponse(str(int(self._now())), headers=NO_STORE_HEADER)

    @Route(
        "GET",
        "/udf/symbols",
        label="/udf",
        operation_id="getUdfSymbol",
        tag="history",
        summary="UDF: a symbol as a chart needs it",
        parameters=[UDF_ASSET],
        responses={
            200: Response("The symbol", (json(UdfSymbol, SYMBOL_EXAMPLE),), (NO_STORE,)),
            400: BAD_UDF,
            404: UDF_NOT_LISTED,
            503: UDF_NO_HISTORY,
        },
    )
    async def symbol(self, request: Request) -> HttpResponse:
        """Return the symbol, with a scale that shows every digit of its newest price."""
        with _refusals_as_udf():
            asset, trades = self._asset(request)
            newest = await (trades or self._bars).newest_before(asset.symbol, self._now() + CLOCK_MARGIN)
            price = None if newest is None else newest.price
            return answer(symbol_info(asset, price, TRADES if trades else EXCHANGE))

    @Route(
        "GET",
        "/udf/search",
        label="/udf",
        operation_id="searchUdfSymbols",
        tag="history",
        summary="UDF: symbols that contain a text",
        description="Symbols that begin with the text come first, then by rank.",
        parameters=SEARCH_PARAMETERS,
        responses={
            200: Response("The symbols; none if the type or the exchange is unknown", (FOUND_SYMBOLS,), (NO_STORE,)),
            400: BAD_UDF,
        },
        is_compressed=True,
    )
    async def search(self, request: Request) -> HttpResponse:
        """Return the symbols."""
        with _refusals_as_udf():
            limit = whole(request, "limit", USUAL_FOUND, MOST_FOUND)
            wanted, kind, exchange = (_short(request, name) for name in ("query", "type", "exchange"))
            if kind not in ("", TYPE) or exchange not in ("", EXCHANGE, TRADES):
                return answer([])
            found = search(self._catalog, wanted, limit)
            return answer([found_symbol(asset, exchange or EXCHANGE) for asset in found])

    @Route(
        "GET",
        "/udf/history",
        label="/udf",
        operation_id="getUdfBars",
        tag="history",
        summary="UDF: bars for a chart",
        description="The bars that begin in the range, each of all stored prices of its interval, or the newest"
        f" `countback` ones before `to`. At most {MOST_BARS} intervals in one request, and {MOST_TRADES} trades;"
        " there are fewer than `countback` bars if these have more trades than that.",
        parameters=HISTORY_PARAMETERS,
        responses={
            200: Response(
                "The bars, or why there are none", (json((UdfBars, UdfNoData), *BARS_EXAMPLES),), (NO_STORE,)
            ),
            400: BAD_UDF,
            404: UDF_NOT_LISTED,
            503: UDF_NO_HISTORY,
        },
        is_compressed=True,
    )
    async def history(self, request: Request) -> HttpResponse:
        """Return the bars as columns."""
        with _refusals_as_udf():
            asset, trades = self._asset(request)
            seconds = SECONDS[choice(request, "resolution", "", tuple(RESOLUTIONS))]
            begin, end = (
                _time(request, "from", -math.inf),
                _time(request, "to", self._now() + CLOCK_MARGIN),
            )
            counted = "countback" in request.query_params
            count = whole(request, "countback", 1, MOST_BARS) if counted else None
            if count is None:
                begin, end = self._checked_range(begin, end, seconds)
            if trades is not None:
                return await traded_columns(trades, asset.symbol, seconds, begin, end, count)
            if count is not None:
                return columns(await self._bars.newest(asset.symbol, seconds, end, count), None)
            bars = await self._bars.between(asset.symbol, seconds, begin, end)
            older = None if len(bars) else await self._bars.newest_before(asset.symbol, begin)
            return columns(bars, next_time(older, seconds))

    def _settle(self, symbol: str) -> float:
        """Return the age of the oldest ticker that counts, and the time in which another process sends a price."""
        return self._catalog.cadence[self._catalog.assets[symbol].tier].max_age + _SENDING_SECONDS

    def _asset(self, request: Request) -> tuple[Asset, TradeCandleReader | None]:
        """Return the asset of the parameter `symbol`, and the reader of its trades if its bars are made of these.

        Raises the response 400 or 404.
        """
        if "symbol" not in request.query_params:
            raise refuse_parameter("symbol is missing")
        given = request.query_params["symbol"]
        if self._trades is not None and given.startswith(f"{TRADES}:"):
            return asset_named(given.removeprefix(f"{TRADES}:"), self._catalog), self._trades
        return asset_named(given.removeprefix(f"{EXCHANGE}:"), self._catalog), None

    def _checked_range(self, start: float, end: float, seconds: int) -> tuple[float, float]:
        """Return the range without the time before 1970 and that after now. Raises the response 400."""
        if start == -math.inf:
            raise refuse_parameter("from or countback is missing")
        if start > end:
            raise refuse_parameter("from must not be after to")
        first, last = max(0, start), min(end, self._now() + CLOCK_MARGIN)
        if (last - first) / seconds > MOST_BARS:
            raise refuse_parameter(
                f"from must be at most {MOST_BARS} bars before to; or give countback instead of from"
            )
        return first, last


def _time(request: Request, name: str, default: float) -> float:
    """Return a query parameter that is whole unix seconds. Raises the response 400.

    Charts send times before 1970 where they ask for many long bars.
    """
    given = request.query_params.get(name)
    if given is None:
        return default
    if not _INTEGER.fullmatch(given) or abs(int(given)) > LATEST_TIME:
        raise refuse_parameter(f"{name} must be whole unix seconds, at most {LATEST_TIME:.0f}")
    return int(given)


def _short(request: Request, name: str) -> str:
    """Return a query parameter that is a text. Raises the response 400 if it is too long."""
    given = request.query_params.get(name, "")
    if len(given) > MOST_TEXT:
        raise refuse_parameter(f"{name} must have at most {MOST_TEXT} characters")
    return given


@contextmanager
def _refusals_as_udf() -> Iterator[None]:
    """Add the fields of UDF to the refusals that are raised inside."""
    try:
        yield
    except Refused as error:
        raise refuse(error.status_code, udf_refusal(error.refusal), error.headers) from error
