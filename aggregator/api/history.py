"""GET /prices/{asset}/history and /at: stored prices, as JSON or CSV."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api import parameters
from aggregator.api.description import Json, Response, json, query, text
from aggregator.api.history_reader import (
    CLOCK_MARGIN,
    STORE_SECONDS,
    Cursor,
    HistoryReader,
    check_range,
    read_cursor,
    rest_of,
    write_cursor,
)
from aggregator.api.responses import (
    NOT_FOUND,
    Code,
    Refusal,
    Row,
    answer,
    asset_of,
    choice,
    csv_response,
    csv_text,
    encoder_of,
    refuse,
    refuse_parameter,
    wants_csv,
    whole,
)
from aggregator.api.route import Route, routes_of
from aggregator.api.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    FORMAT,
    LINK,
    NO_HISTORY_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    SYMBOL,
    TIME_EXAMPLES,
    TIME_FORMATS,
    TIME_SCHEMA,
    Count,
    Seconds,
    Symbol,
    Time,
    refusal,
)
from aggregator.models import Asset, Price, rfc_3339
from aggregator.ports import History
from aggregator.prices.tiers import Catalog

MOST_ROWS = 1000
USUAL_ROWS = 100
_COLUMNS = ("asset", "timestamp", "time", "price", "sources", "spread", "updated_at", "degraded")
_ROW: Json = {
    "asset": SYMBOL,
    "timestamp": 1795241427.047,
    "time": "2026-11-21T06:10:27.047Z",
    "price": 77896.49245,
    "sources": 3,
    "spread": 0.0002019346379,
    "updated_at": 1795241427.123456,
    "degraded": False,
}
_ROW_AS_CSV = text("text/csv", csv_text(_COLUMNS, [_ROW]))
_CURSOR = "AAECAwQFBgdbImJ0Y3VzZHQiLDAsMSx0cnVlXQ"


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


class HistoryRoutes:
    """The routes for stored prices. A read of the store may take `store_seconds`."""

    def __init__(
        self,
        catalog: Catalog,
        history: History,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._reader = HistoryReader(history, store_seconds)
        self._now = now

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/prices/{asset:path}/history",
        label="/prices",
        operation_id="getHistory",
        tag="history",
        summary="Stored prices, in pages",
        parameters=[
            ASSET,
            query("start", f"The start of the range, inclusive. {TIME_FORMATS}", TIME_SCHEMA, *TIME_EXAMPLES),
            query(
                "end",
                f"The end of the range, inclusive; now if it is not given. {TIME_FORMATS}",
                TIME_SCHEMA,
                *TIME_EXAMPLES,
            ),
            query(
                "order",
                "Newest first (desc) or oldest first (asc)",
                {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
            ),
            query(
                "limit",
                "The largest number of prices in a page",
                {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": USUAL_ROWS},
            ),
            query(
                "cursor",
                "The value of `next`. It contains start, end and order, which must not be given with it",
                {"type": "string", "maxLength": 512},
            ),
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "A page. The next page is in `next` and in the Link header; CSV has the Link header only",
                (json(HistoryPage, {"asset": SYMBOL, "prices": [_ROW], "next": _CURSOR}), _ROW_AS_CSV),
                (LINK, NO_STORE),
                {
                    "next": {
                        "operationId": "getHistory",
                        "parameters": {"path.asset": "$response.body#/asset", "query.cursor": "$response.body#/next"},
                        "description": "The next page, if `next` is not null",
                    }
                },
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_HISTORY_NOW,
        },
        is_compressed=True,
    )
    async def pages(self, request: Request) -> HttpResponse:
        """Return a page of stored prices with the cursor of the next."""
        asset = asset_of(request, self._catalog)
        limit = whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        as_csv, encode = wants_csv(request), encoder_of(request)
        window = self._requested(request, asset)
        prices = await self._reader.read_or_refuse(window, limit + 1)  # one more tells whether there is a next page
        page, following = prices[:limit], _next_cursor(window, prices, limit)
        headers = {}
        if following is not None:
            given = request.query_params
            form = "".join(f"&{name}={given[name]}" for name in ("format", "numbers") if name in given)
            headers["Link"] = f'</prices/{asset.symbol}/history?limit={limit}&cursor={following}{form}>; rel="next"'
        rows = [_row(price) for price in page]
        if as_csv:
            return csv_response(_COLUMNS, rows, headers)
        return answer({"asset": asset.symbol, "prices": rows, "next": following}, headers=headers, encode=encode)

    @Route(
        "GET",
        "/prices/{asset:path}/at",
        label="/prices",
        operation_id="getPriceAt",
        tag="history",
        summary="The stored price at a time, or the last one before it",
        parameters=[ASSET, query("time", TIME_FORMATS, TIME_SCHEMA, *TIME_EXAMPLES, required=True), FORMAT, NUMBERS],
        responses={
            200: Response("The price", (json(StoredPrice, _ROW), _ROW_AS_CSV), (NO_STORE,)),
            400: BAD_REQUEST,
            404: refusal(
                "The asset is not listed, or it has no price as old as that",
                NOT_FOUND,
                Refusal("No price stored at or before 2023-10-01T00:00:00.000Z", Code.NO_PRICE_STORED),
            ),
            503: NO_HISTORY_NOW,
        },
    )
    async def at(self, request: Request) -> HttpResponse:
        """Return the newest stored price that is not later than `time`."""
        asset = asset_of(request, self._catalog)
        if "time" not in request.query_params:
            raise refuse_parameter("time is missing: unix seconds or RFC 3339")
        as_csv, encode = wants_csv(request), encoder_of(request)
        moment = parameters.time_of(request, "time", 0.0)
        prices = await self._reader.read_or_refuse(Cursor(asset.symbol, 0.0, moment, newest_first=True), 1)
        if not prices:
            raise refuse(404, Refusal(f"No price stored at or before {rfc_3339(moment)}", Code.NO_PRICE_STORED))
        row = _row(prices[0])
        return csv_response(_COLUMNS, [row], {}) if as_csv else answer(row, encode=encode)

    def _requested(self, request: Request, asset: Asset) -> Cursor:
        """Return the range of the query string or of its cursor. Raises the response 400."""
        encoded = request.query_params.get("cursor")
        if encoded is not None:
            return _from_cursor(request, asset, encoded)
        start = parameters.time_of(request, "start", 0.0)
        end = parameters.time_of(request, "end", max(start, self._now() + CLOCK_MARGIN))
        check_range(start, end)
        order = choice(request, "order", "desc", ("asc", "desc"))
        return Cursor(asset.symbol, start, end, newest_first=order == "desc")


def _from_cursor(request: Request, asset: Asset, encoded: str) -> Cursor:
    found = read_cursor(encoded)
    if found is None or found.asset != asset.symbol:
        raise refuse_parameter(f"cursor is not one that was given for {asset.symbol}")
    if request.query_params.keys() & {"start", "end", "order"}:
        raise refuse_parameter("cursor already says start, end and order")
    return found


def _next_cursor(window: Cursor, prices: Sequence[Price], limit: int) -> str | None:
    """Return the cursor of the next page, or None if there is no price behind this one."""
    return write_cursor(rest_of(window, prices[limit - 1])) if len(prices) > limit else None


def _row(price: Price) -> Row:
    cells = (
        price.asset,
        price.timestamp,
        rfc_3339(price.timestamp),
        price.price,
        len(price.sources),
        price.spread,
        price.updated_at,
        price.degraded,
    )
    return dict(zip(_COLUMNS, cells, strict=True))
