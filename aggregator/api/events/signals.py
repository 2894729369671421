"""GET /signals/{asset}: the signals of the paper strategy, as JSON or CSV."""

import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.events.strategy_schema import SIGNAL, SIGNAL_AS_CSV, SIGNAL_COLUMNS, PaperSignal, SignalPage
from aggregator.api.reads.cursors import CursorForm
from aggregator.api.reads.event_reader import StoredEvents, readable
from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS, Cursor, requested
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.paging import link_to_next, next_of
from aggregator.api.routing.parameters import LATEST_TIME
from aggregator.api.routing.responses import (
    answer,
    asset_of,
    csv_response,
    encoder_of,
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
    NO_EVENTS_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    ORDER,
    START,
    SYMBOL,
    cursor_parameter,
    limit_parameter,
)
from aggregator.prices.tiers import Catalog
from aggregator.strategy.signals import SIGNALS
from aggregator.trades.ports import EventReader

MOST_ROWS = 1000
USUAL_ROWS = 100
_KEPT = ("format", "numbers")  # parameters of a request that its next page has too
_CURSOR = "AAECAwQFBgdbImJ0Y3VzZHQiLDAsMSx0cnVlLFsxLCI4ZjE0LWJ1eSJdXQ"
_decoder = msgspec.json.Decoder(PaperSignal)


class SignalRange(Cursor, frozen=True, array_like=True):
    """Signals of `asset` from `start` to `end` (unix seconds, inclusive) that come after the time and id `after`."""

    after: tuple[float, str] | None = None

    @property
    def is_sound(self) -> bool:
        """Whether its times are such as a store may be asked for."""
        last = self.start if self.after is None else self.after[0]
        return 0 <= self.start <= self.end <= LATEST_TIME + CLOCK_MARGIN and 0 <= last <= LATEST_TIME


CURSORS = CursorForm(SignalRange, b"signals cursor", 512)


class SignalRoutes:
    """The route for signals. A read of the store may take `store_seconds`."""

    def __init__(
        self,
        catalog: Catalog,
        events: EventReader,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._events = StoredEvents(events, now, store_seconds)
        self._now = now

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/signals/{asset:path}",
        label="/signals",
        operation_id="getSignals",
        tag="strategy",
        summary="The signals of the paper strategy, in pages",
        description="Paper trading: no order is sent anywhere. A signal is made by a trade, and is there once however"
        " often the trade is processed. There are none where the setting STRATEGY has never been true.",
        parameters=[
            ASSET,
            START,
            END,
            ORDER,
            limit_parameter("signals in a page", USUAL_ROWS, MOST_ROWS),
            cursor_parameter(CURSORS.longest),
            FORMAT,
            NUMBERS,
        ],
        responses={
            200: Response(
                "A page. The next page is in `next` and in the Link header; CSV has the Link header only",
                (
                    json(SignalPage, {"asset": SYMBOL, "paper": True, "signals": [SIGNAL], "next": _CURSOR}),
                    SIGNAL_AS_CSV,
                ),
                (LINK, NO_STORE),
                next_of("getSignals"),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def pages(self, request: Request) -> HttpResponse:
        """Return a page of signals with the cursor of the next."""
        asset = asset_of(request, self._catalog)
        limit = whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        as_csv, encode = wants_csv(request), encoder_of(request)
        window = requested(request, asset, CURSORS, self._now())
        events = await self._events.page(
            SIGNALS.name,
            window.asset,
            window.start,
            window.end,
            limit + 1,  # one more tells whether there is a next page
            newest_first=window.newest_first,
            after=window.after,
        )
        following = None
        if len(events) > limit:
            last = events[limit - 1]
            following = CURSORS.write(msgspec.structs.replace(window, after=(last.timestamp, last.id)))
        headers = link_to_next(request, f"/signals/{asset.symbol}", limit, following, _KEPT)
        signals = readable(events[:limit], _decoder)
        if as_csv:
            return csv_response(SIGNAL_COLUMNS, map(msgspec.structs.asdict, signals), headers)
        body = SignalPage(asset=asset.symbol, paper=True, signals=tuple(signals), next=following)
        return answer(body, headers=headers, encode=encode)
