"""GET /exchanges and GET /exchanges/{name}: the state of the exchanges."""

import asyncio
import time
from collections.abc import Callable
from difflib import get_close_matches

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.description import Json, Parameter, Response, json, text
from aggregator.api.routing.responses import (
    RETRY_SOON,
    Code,
    Refusal,
    answer,
    csv_response,
    csv_text,
    refuse,
    wants_csv,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import FORMAT, NO_STORE, RETRY_AFTER, bad_request, refusal
from aggregator.api.status.exchange_figures import ExchangeReport, reports, row
from aggregator.errors import StoreError
from aggregator.models import Tier
from aggregator.ports import ExchangeStatus
from aggregator.prices.tiers import Catalog
from aggregator.prices.venue_figures import WINDOW_SECONDS

_LOOK_SECONDS = 1.0
_LONGEST_NAME = 32
_NOT_KNOWN = Refusal("No refresher reports on the exchanges now", Code.EXCHANGES_UNKNOWN)
_NOT_NAMED = Refusal("No exchange has this name", Code.EXCHANGE_NOT_FOUND)

_ABOUT = f"""\
Counts and means are of the last {WINDOW_SECONDS:.0f} s. Where several refreshers report, the breaker and the feed are
the worst of all, the cool-down is the longest, the tokens are the fewest, and counts are added up. A process that
refreshes by itself shows only its own view.

- `state`: `down` if no refresher gets tickers: its breaker is open and no feed pushes, or its calls have brought no
  ticker for longer than a hot ticker may be old. `degraded` if a refresher has the problem that `problem` names: as for
  `down`, or the breaker is half open, the exchange's clock stands still, its tickers are rejected, its feed has fallen
  back to polling, or it has asked for a pause. Else `ok`.
- `last_ticker`: when the last ticker arrived, by our clock; null before the first.
- `tickers`: how often the exchange was asked for its part in a price, without the assets that it does not list.
  `left_out`: of these, the share that had no part, by reason.
- `mean_distance`: the mean of (its price - our price) / our price, over the tickers that counted and the outliers.
  `mean_absolute_distance`: the mean of the magnitudes. Each asset is compared at most once a second. Null without a
  comparison.
- `push`: `pushing`; `polled`, if it has no feed here; or `fallen_back`, if it is polled because its feed fails, as
  `push_problem` says.
- `rate_limit`: what our own limiter has left; null without a limit. `cooldown_seconds`: the rest of a pause that the
  exchange has asked for.
- `assets`: how many of our assets it lists, or lists a pair that converts into; null until a listing is read.
"""
_REPORT: Json = {
    "name": "exchange1",
    "state": "degraded",
    "problem": "is polled, as its feed has fallen back: timeout: no message for 6 s",
    "breaker": "closed",
    "last_ticker": 1795241427.25,
    "last_ticker_iso": "2026-11-21T06:10:27.250Z",
    "tickers": 2000,
    "left_out": {"timeout": 0.01, "outlier": 0.0005},
    "mean_distance": -0.000012,
    "mean_absolute_distance": 0.000152,
    "push": "fallen_back",
    "push_problem": "timeout: no message for 6 s",
    "rate_limit": {"tokens_left": 597, "per_second": 90.0},
    "cooldown_seconds": 0.0,
    "assets": 20,
    "refreshers": 1,
}
_EXAMPLE = row(msgspec.convert(_REPORT, ExchangeReport))
_COLUMNS = tuple(_EXAMPLE)
_NAME = Parameter(
    "name",
    "path",
    "The name of an exchange, as in `sources` of a price",
    {"type": "string", "maxLength": _LONGEST_NAME},
    ("exchange1",),
    required=True,
)
_UNKNOWN = refusal(
    "No refresher has reported on the exchanges for five seconds, the service is at its limit of concurrent requests,"
    " or it is stopping",
    _NOT_KNOWN,
    headers=(RETRY_AFTER,),
    component="ExchangesUnknown",
)
_BAD_FORMAT = bad_request(
    "The format is none of those allowed", Refusal("format must be one of json, csv", Code.INVALID_PARAMETER)
)


class ExchangeReports(Struct, frozen=True):
    """Every exchange. The counts are of the last `window_seconds`."""

    window_seconds: float
    exchanges: tuple[ExchangeReport, ...]


class ExchangeRoutes:
    """The routes for the exchanges. `now` returns unix seconds."""

    def __init__(self, catalog: Catalog, watch: ExchangeStatus, now: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._watch = watch
        self._now = now

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/exchanges",
        label="/exchanges",
        operation_id="getExchanges",
        tag="service",
        summary="How each exchange does: state, tickers, distance from our prices, feed, rate limit",
        description=_ABOUT,
        parameters=[FORMAT],
        responses={
            200: Response(
                "Every exchange, in the order of the settings",
                (
                    json(ExchangeReports, {"window_seconds": WINDOW_SECONDS, "exchanges": [_REPORT]}),
                    text("text/csv", csv_text(_COLUMNS, [_EXAMPLE])),
                ),
                (NO_STORE,),
            ),
            400: _BAD_FORMAT,
            503: _UNKNOWN,
        },
    )
    async def every(self, request: Request) -> HttpResponse:
        """Return every exchange, as JSON or CSV."""
        as_csv = wants_csv(request)
        found = await self._reports()
        if as_csv:
            return csv_response(_COLUMNS, map(row, found), {})
        return answer(ExchangeReports(WINDOW_SECONDS, tuple(found)))

    @Route(
        "GET",
        "/exchanges/{name}",
        label="/exchanges",
        operation_id="getExchange",
        tag="service",
        summary="How one exchange does",
        description="The fields are those of `/exchanges`.",
        parameters=[_NAME],
        responses={
            200: Response("The exchange", (json(ExchangeReport, _REPORT),), (NO_STORE,)),
            404: refusal(
                "No exchange has this name. `near` has names that it may mean",
                Refusal(_NOT_NAMED.msg, _NOT_NAMED.code, ("exchange1",)),
                component="NoSuchExchange",
            ),
            503: _UNKNOWN,
        },
    )
    async def one(self, request: Request) -> HttpResponse:
        """Return one exchange."""
        name = request.path_params["name"]
        name = name.lower() if name.isascii() else name  # KELVIN SIGN would become a k
        found = {report.name: report for report in await self._reports()}
        if name not in found:
            raise refuse(404, _not_named(name, list(found)))
        return answer(found[name])

    async def _reports(self) -> list[ExchangeReport]:
        """Return every exchange; at least one. Raises the response 503 if no refresher is known to report."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                views = await self._watch.look()
        except (StoreError, TimeoutError):
            views = []
        if not any(views):
            raise refuse(503, _NOT_KNOWN, RETRY_SOON)
        hottest = next(tier for tier in Tier if self._catalog.of(tier))
        return reports(views, self._now(), self._catalog.cadence[hottest].max_age)


def _not_named(name: str, names: list[str]) -> Refusal:
    """Return the refusal of a name that no exchange has, with near ones. A longer name than allowed has none."""
    near = get_close_matches(name, names) if len(name) <= _LONGEST_NAME else []
    return Refusal(_NOT_NAMED.msg, _NOT_NAMED.code, tuple(near)) if near else _NOT_NAMED
