"""GET /positions: open paper positions. GET /positions/closed: closed ones in pages, with totals, as JSON or CSV."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.events.closed_totals import ClosedTally
from aggregator.api.events.strategy_schema import (
    CLOSED,
    CLOSED_AS_CSV,
    OPEN,
    ClosedPage,
    ClosedPosition,
    OpenPosition,
    OpenPositions,
)
from aggregator.api.reads.cursors import CursorForm
from aggregator.api.reads.history_reader import STORE_SECONDS
from aggregator.api.reads.store_time import in_time
from aggregator.api.routing.description import Response, json, query
from aggregator.api.routing.paging import link_to_next, next_of
from aggregator.api.routing.parameters import ASSET_NAMES, LATEST_TIME, given_asset
from aggregator.api.routing.responses import (
    NO_EVENTS,
    answer,
    asset_named,
    csv_response,
    encoder_of,
    refuse_parameter,
    wants_csv,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    BAD_REQUEST,
    FORMAT,
    LINK,
    NO_EVENTS_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    SYMBOL,
    limit_parameter,
)
from aggregator.models import Asset
from aggregator.prices.tiers import MAX_SYMBOL, Catalog
from aggregator.strategy.ports import Position, PositionReader
from aggregator.strategy.totals import COLUMNS, row_of

T = TypeVar("T")

MOST_ROWS = 1000
USUAL_ROWS = 100
_KEPT = (*ASSET_NAMES, "format", "numbers")  # parameters of a request that its next page has too
_CURSOR = "AAECAwQFBgdbbnVsbCwxLCI4ZjE0Il0"
_ABOUT = "Paper trading: no order is sent anywhere."
_NAME: dict[str, object] = {"type": "string", "maxLength": MAX_SYMBOL}
_ONE_ASSET = (
    query("asset", "Only positions of this asset", _NAME, SYMBOL),
    query("symbol", "Another name of `asset`", _NAME),
    query("ticker", "Another name of `asset`", _NAME),
)


class ClosedCursor(msgspec.Struct, frozen=True, array_like=True):
    """The closed positions of an asset, of all if None, that come after exit time and id of one."""

    asset: str | None
    time: float
    id: str


CURSORS = CursorForm(ClosedCursor, b"closed positions cursor", 512)


class PositionRoutes:
    """The routes for positions. A read of the store may take `store_seconds`."""

    def __init__(self, catalog: Catalog, positions: PositionReader, store_seconds: float = STORE_SECONDS) -> None:
        self._catalog = catalog
        self._positions = positions
        self._store_seconds = store_seconds
        self._tally = ClosedTally(catalog, positions)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for readings of totals, then end them."""
        await self._tally.close(patience)

    @Route(
        "GET",
        "/positions",
        label="/positions",
        operation_id="getPositions",
        tag="strategy",
        summary="The open positions of the paper strategy",
        description=f"{_ABOUT} There is at most one an asset; the newest comes first.",
        parameters=[*_ONE_ASSET, NUMBERS],
        responses={
            200: Response(
                "The open positions", (json(OpenPositions, {"paper": True, "positions": [OPEN]}),), (NO_STORE,)
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def open(self, request: Request) -> HttpResponse:
        """Return the open positions."""
        asset, encode = self._asset(request), encoder_of(request)
        assets = [*self._catalog.assets] if asset is None else [asset.symbol]
        found = await self._in_time(self._positions.open_positions(assets))
        found.sort(key=lambda one: (one.entry_time, one.id), reverse=True)
        return answer(OpenPositions(paper=True, positions=tuple(map(_opened, found))), encode=encode)

    @Route(
        "GET",
        "/positions/closed",
        label="/positions",
        operation_id="getClosedPositions",
        tag="strategy",
        summary="The closed positions of the paper strategy, in pages, with totals",
        description=f"{_ABOUT} The newest exit comes first. The totals are of all closed positions, or of those of"
        " `asset`, and not of the page alone.",
        parameters=[
            *_ONE_ASSET,
            limit_parameter("positions in a page", USUAL_ROWS, MOST_ROWS),
            query(
                "cursor",
                "The value of `next`. `asset` must be the same as before",
                {"type": "string", "maxLength": CURSORS.longest},
            ),
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "A page. The next page is in `next` and in the Link header; CSV has the Link header only, and no"
                " totals",
                (
                    json(
                        ClosedPage,
                        {
                            "paper": True,
                            "positions": [CLOSED],
                            "totals": {"closed": 7, "won": 5, "profit": {"usdt": 187.25}, "complete": True},
                            "next": _CURSOR,
                        },
                    ),
                    CLOSED_AS_CSV,
                ),
                (LINK, NO_STORE),
                next_of("getClosedPositions", of_asset=False),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def closed(self, request: Request) -> HttpResponse:
        """Return a page of closed positions with the cursor of the next, and totals."""
        asset = self._asset(request)
        symbol = None if asset is None else asset.symbol
        limit = whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        as_csv, encode = wants_csv(request), encoder_of(request)
        after = _after(request, symbol)
        found = await self._in_time(self._positions.closed(symbol, limit + 1, after))
        page, following = found[:limit], None
        if len(found) > limit:
            following = CURSORS.write(ClosedCursor(symbol, page[-1].exit_time or 0.0, page[-1].id))
        headers = link_to_next(request, "/positions/closed", limit, following, _KEPT)
        if as_csv:
            return csv_response(COLUMNS, map(row_of, page), headers)
        totals = await self._in_time(self._tally.of(symbol))
        body = ClosedPage(paper=True, positions=_closed(page), totals=totals, next=following)
        return answer(body, headers=headers, encode=encode)

    def _asset(self, request: Request) -> Asset | None:
        name = given_asset(request)
        return None if name is None else asset_named(name, self._catalog)

    async def _in_time(self, reading: Awaitable[T]) -> T:
        return await in_time(reading, self._store_seconds, NO_EVENTS)


def _after(request: Request, symbol: str | None) -> tuple[float, str] | None:
    """Return exit time and id of the last position of the page before. Raises the response 400."""
    encoded = request.query_params.get("cursor")
    if encoded is None:
        return None
    found = CURSORS.read(encoded)
    if found is None or found.asset != symbol or not 0 <= found.time <= LATEST_TIME:
        raise refuse_parameter(f"cursor is not one that was given for {symbol or 'all assets'}")
    return found.time, found.id


def _opened(position: Position) -> OpenPosition:
    return OpenPosition(
        position.id,
        position.asset,
        position.quantity,
        position.entry_price,
        position.entry_time,
        paper=True,
    )


def _closed(page: Sequence[Position]) -> tuple[ClosedPosition, ...]:
    return tuple(msgspec.convert(row_of(one), ClosedPosition) for one in page)
