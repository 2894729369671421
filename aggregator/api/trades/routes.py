"""GET /trades/{asset} and /query: stored trades, as JSON or CSV. GET /quotes/{asset}: the last trade."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS, requested
from aggregator.api.reads.trade_reader import CURSORS, StoredTrades, TradeRange, rest_of
from aggregator.api.routing.description import Response, json, query
from aggregator.api.routing.paging import link_to_next, next_of
from aggregator.api.routing.parameters import given_asset
from aggregator.api.routing.responses import (
    INVALID_SYMBOL,
    NO_TRADE,
    answer,
    asset_named,
    asset_of,
    csv_response,
    encoder_of,
    prepared,
    refuse,
    refuse_parameter,
    wants_csv,
    wants_strings,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    END,
    FORMAT,
    LINK,
    NO_STORE,
    NO_TRADE_YET,
    NO_TRADES_NOW,
    NOT_LISTED,
    NUMBERS,
    ORDER,
    START,
    SYMBOL,
    bad_request,
    cursor_parameter,
    limit_parameter,
)
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.api.trades.schema import COLUMNS, QUOTE, ROW, ROW_AS_CSV, Quote, TradePage, quote_of, row_of
from aggregator.prices.tiers import MAX_SYMBOL, Catalog
from aggregator.trades.ports import TradeReader

MOST_ROWS = 1000
USUAL_ROWS = 100
MOST_QUERIED = 100
USUAL_QUERIED = 10
_KEPT = ("format", "numbers")  # parameters of a request that its next page has too
_ABOUT_PAGES = (
    "Trades are kept for the time of TRADES_RETENTION. They are in order of time, then of venue and id. A trade that"
    " was sent several times is there once. Where trades are archived (ARCHIVE_URL), a range with a `start`, or with an"
    " `end` before what is kept, goes on in the archive."
)
_CURSOR = "AAECAwQFBgdbImJ0Y3VzZHQiLDAsMSx0cnVlLFsxLCJleGNoYW5nZTEiLCI0NzExIl1d"
_PAGE = Response(
    "A page. The next page of `/trades/{asset}` is in `next` and in the Link header; CSV has the Link header only",
    (json(TradePage, {"asset": SYMBOL, "trades": [ROW], "next": _CURSOR}), ROW_AS_CSV),
    (LINK, NO_STORE),
    next_of("getTrades"),
)


class TradeRoutes:
    """The routes for trades. A read of the store may take `store_seconds`."""

    def __init__(
        self,
        catalog: Catalog,
        reader: TradeReader,
        hot: HotTrades,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._stored = StoredTrades(reader, store_seconds)
        self._hot = hot
        self._now = now

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/trades/{asset:path}",
        label="/trades",
        operation_id="getTrades",
        tag="trades",
        summary="Stored trades, in pages",
        description=_ABOUT_PAGES,
        parameters=[
            ASSET,
            START,
            END,
            ORDER,
            limit_parameter("trades in a page", USUAL_ROWS, MOST_ROWS),
            cursor_parameter(CURSORS.longest),
            FORMAT,
            NUMBERS,
        ],
        responses={200: _PAGE, 400: BAD_REQUEST, 404: NOT_LISTED, 503: NO_TRADES_NOW},
        is_compressed=True,
    )
    async def pages(self, request: Request) -> HttpResponse:
        """Return a page of stored trades with the cursor of the next."""
        asset = asset_of(request, self._catalog)
        limit = whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        return await self._page(request, requested(request, asset, CURSORS, self._now()), limit)

    @Route(
        "GET",
        "/query",
        label="/query",
        operation_id="queryTrades",
        tag="trades",
        summary="The newest trades of an asset",
        description="The same as `GET /trades/{asset}?limit=10`. Give one of `symbol`, `ticker` and `asset`.",
        parameters=[
            query("symbol", "The asset", {"type": "string", "maxLength": MAX_SYMBOL}, SYMBOL),
            query("ticker", "Another name of `symbol`", {"type": "string", "maxLength": MAX_SYMBOL}),
            query("asset", "Another name of `symbol`", {"type": "string", "maxLength": MAX_SYMBOL}),
            limit_parameter("trades", USUAL_QUERIED, MOST_QUERIED),
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: _PAGE,
            400: bad_request("The symbol is missing or malformed, or a parameter is malformed", INVALID_SYMBOL),
            404: NOT_LISTED,
            503: NO_TRADES_NOW,
        },
        is_compressed=True,
    )
    async def query(self, request: Request) -> HttpResponse:
        """Return the newest trades of the asset in the query string."""
        given = given_asset(request)
        if given is None:
            raise refuse_parameter("Give one of symbol, ticker and asset")
        asset = asset_named(given, self._catalog)
        limit = whole(request, "limit", USUAL_QUERIED, MOST_QUERIED)
        window = TradeRange(asset.symbol, 0.0, self._now() + CLOCK_MARGIN, newest_first=True)
        return await self._page(request, window, limit)

    @Route(
        "GET",
        "/quotes/{asset:path}",
        label="/quotes",
        operation_id="getQuote",
        tag="trades",
        summary="The last trade of an asset",
        description="The last one by the time of its venue, then by venue and id.",
        parameters=[ASSET, NUMBERS],
        responses={
            200: Response("The trade", (json(Quote, QUOTE),), (NO_STORE,)),
            400: BAD_REQUEST,
            404: NO_TRADE_YET,
            503: NO_TRADES_NOW,
        },
    )
    async def quote(self, request: Request) -> HttpResponse:
        """Return the last trade that this process has seen, or else the last stored one."""
        asset = asset_of(request, self._catalog)
        reply = None if wants_strings(request) else self._hot.quotes.of(asset.symbol)
        if reply is not None:
            return prepared(reply.raw)
        trade = self._hot.quote(asset.symbol) or await self._stored.latest(asset.symbol)
        if trade is None:
            raise refuse(404, NO_TRADE)
        return answer(quote_of(trade), encode=encoder_of(request))

    async def _page(self, request: Request, window: TradeRange, limit: int) -> HttpResponse:
        as_csv, encode = wants_csv(request), encoder_of(request)
        trades = await self._stored.page(window, limit + 1)  # one more tells whether there is a next page
        following = CURSORS.write(rest_of(window, trades[limit - 1])) if len(trades) > limit else None
        headers = link_to_next(request, f"/trades/{window.asset}", limit, following, _KEPT)
        rows = [row_of(trade) for trade in trades[:limit]]
        if as_csv:
            return csv_response(COLUMNS, rows, headers)
        return answer({"asset": window.asset, "trades": rows, "next": following}, headers=headers, encode=encode)
