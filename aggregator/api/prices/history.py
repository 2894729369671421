"""GET /prices/{asset}/history and /at: stored prices, as JSON or CSV."""

import time
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.prices.history_schema import (
    COLUMNS,
    CURSOR,
    KEPT,
    ROW,
    ROW_AS_CSV,
    ROW_WITH_SOURCES,
    SOURCES,
    HistoryPage,
    HistorySourcesPage,
    StoredPrice,
    StoredPriceSources,
    row_of,
)
from aggregator.api.reads.history_reader import (
    CURSORS,
    STORE_SECONDS,
    Cursor,
    HistoryReader,
    requested,
    rest_of,
    write_cursor,
)
from aggregator.api.routing import parameters
from aggregator.api.routing.description import Response, json, query
from aggregator.api.routing.paging import link_to_next, next_of
from aggregator.api.routing.responses import (
    NOT_FOUND,
    Code,
    Refusal,
    answer,
    asset_of,
    choice,
    csv_response,
    encoder_of,
    refuse,
    refuse_parameter,
    wants_csv,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    END,
    FORMAT,
    LINK,
    NO_HISTORY_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    ORDER,
    START,
    SYMBOL,
    TIME_EXAMPLES,
    TIME_FORMATS,
    TIME_SCHEMA,
    cursor_parameter,
    limit_parameter,
    refusal,
)
from aggregator.models import Price, rfc_3339
from aggregator.ports import PriceReader
from aggregator.prices.tiers import Catalog

MOST_ROWS = 1000
USUAL_ROWS = 100
_FIRST = 1.0  # second: before every price; a range from 0 is not looked for in the archive
_KEPT = ("format", "sources", "numbers")  # parameters of a request that its next page has too


class HistoryRoutes:
    """The routes for stored prices. A read of the store may take `store_seconds`."""

    def __init__(
        self,
        catalog: Catalog,
        history: PriceReader,
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
        description=KEPT,
        parameters=[
            ASSET,
            START,
            END,
            ORDER,
            limit_parameter("prices in a page", USUAL_ROWS, MOST_ROWS),
            cursor_parameter(512),
            SOURCES,
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "A page. The next page is in `next` and in the Link header; CSV has the Link header only",
                (
                    json(
                        (HistoryPage, HistorySourcesPage),
                        {"asset": SYMBOL, "prices": [ROW], "next": CURSOR},
                        {"asset": SYMBOL, "prices": [ROW_WITH_SOURCES], "next": None},
                    ),
                    ROW_AS_CSV,
                ),
                (LINK, NO_STORE),
                next_of("getHistory"),
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
        with_sources = _wants_sources(request, as_csv=as_csv)
        window = requested(request, asset, CURSORS, self._now())
        prices = await self._reader.read_or_refuse(window, limit + 1)  # one more tells whether there is a next page
        page, following = prices[:limit], _next_cursor(window, prices, limit)
        headers = link_to_next(request, f"/prices/{asset.symbol}/history", limit, following, _KEPT)
        rows = [row_of(price, with_sources=with_sources) for price in page]
        if as_csv:
            return csv_response(COLUMNS, rows, headers)
        return answer({"asset": asset.symbol, "prices": rows, "next": following}, headers=headers, encode=encode)

    @Route(
        "GET",
        "/prices/{asset:path}/at",
        label="/prices",
        operation_id="getPriceAt",
        tag="history",
        summary="The stored price at a time, or the last one before it",
        description=KEPT,
        parameters=[
            ASSET,
            query("time", TIME_FORMATS, TIME_SCHEMA, *TIME_EXAMPLES, required=True),
            SOURCES,
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "The price",
                (json((StoredPrice, StoredPriceSources), ROW, ROW_WITH_SOURCES), ROW_AS_CSV),
                (NO_STORE,),
            ),
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
        with_sources = _wants_sources(request, as_csv=as_csv)
        prices = await self._reader.read_or_refuse(Cursor(asset.symbol, _FIRST, moment, newest_first=True), 1)
        if not prices:
            raise refuse(404, Refusal(f"No price stored at or before {rfc_3339(moment)}", Code.NO_PRICE_STORED))
        row = row_of(prices[0], with_sources=with_sources)
        return csv_response(COLUMNS, [row], {}) if as_csv else answer(row, encode=encode)


def _wants_sources(request: Request, *, as_csv: bool) -> bool:
    """Whether the client asks for the sources of each price. Raises the response 400, also where it asks for CSV."""
    found = choice(request, "sources", "false", ("true", "false")) == "true"
    if found and as_csv:
        raise refuse_parameter("sources=true needs JSON: format must be json, or Accept must not name text/csv")
    return found


def _next_cursor(window: Cursor, prices: Sequence[Price], limit: int) -> str | None:
    """Return the cursor of the next page, or None if there is no price behind this one."""
    return write_cursor(rest_of(window, prices[limit - 1])) if len(prices) > limit else None
