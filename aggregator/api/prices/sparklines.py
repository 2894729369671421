"""GET /sparklines: the last day of many assets in some 50 prices each, from memory."""

from collections.abc import Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.description import Response, json, query_list
from aggregator.api.routing.parameters import Missing, find_assets, split_names
from aggregator.api.routing.responses import NOT_FOUND, Code, Refusal, answer, refuse_parameter
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE, SYMBOL, Seconds, Symbol, bad_request
from aggregator.prices.day_figures import MissingFigures
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.tiers import Catalog

_MOST = 200  # assets in one request: computing them takes the event loop some 5 ms
_TOO_MANY = f"assets must name at most {_MOST} assets"


class Sparkline(Struct, frozen=True):
    """The last price of each half hour of the last 24 hours, oldest first; of shorter steps while less is known.

    `timestamps` and `prices` have the same length, at most 51; both are empty while no price is known. `reason` says
    why there are none of 24 hours ago, as `figures_reason` of a price does; null if there are.
    """

    asset: Symbol
    timestamps: tuple[Seconds, ...]
    prices: tuple[float, ...]
    reason: MissingFigures | None


class SparklineList(Struct, frozen=True):
    """The sparklines of the requested assets, and the names without an asset."""

    sparklines: tuple[Sparkline, ...]
    missing: tuple[Missing, ...]


class SparklineRoutes:
    """The route for sparklines. `now` returns unix seconds."""

    def __init__(self, catalog: Catalog, figures: FiguresKeeper, now: Callable[[], float]) -> None:
        self._catalog = catalog
        self._figures = figures
        self._now = now

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/sparklines",
        label="/sparklines",
        operation_id="getSparklines",
        tag="prices",
        summary="The prices of many assets over the last 24 hours, one for each half hour",
        parameters=[
            query_list(
                "assets",
                f"At most {_MOST} symbols in upper or lower case. A repeated symbol is answered once",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST},
                [SYMBOL, "ethusdt"],
            )
        ],
        responses={
            200: Response(
                "The sparklines. A malformed or unknown symbol does not fail the request",
                (
                    json(
                        SparklineList,
                        {
                            "sparklines": [
                                {
                                    "asset": SYMBOL,
                                    "timestamps": [1795239000.0, 1795240799.5, 1795241427.047],
                                    "prices": [77512.25, 77840.0, 77896.49245],
                                    "reason": None,
                                }
                            ],
                            "missing": [{"asset": "btc", "reason": NOT_FOUND.msg, "near": [SYMBOL, "btcusd"]}],
                        },
                    ),
                ),
                (NO_STORE,),
            ),
            400: bad_request("`assets` is missing or too long", Refusal(_TOO_MANY, Code.INVALID_PARAMETER)),
        },
        is_compressed=True,
    )
    async def many(self, request: Request) -> HttpResponse:
        """Return the sparklines of the requested assets."""
        names = split_names(request.query_params.getlist("assets"))
        if len(names) > _MOST:
            raise refuse_parameter(_TOO_MANY)
        assets, missing = find_assets(names, self._catalog)
        found = tuple(self._of(asset.symbol) for asset in assets)
        return answer(SparklineList(found, tuple(missing)))

    def _of(self, symbol: str) -> Sparkline:
        points, reason = self._figures.sparkline(symbol, self._now())
        return Sparkline(symbol, tuple(at for at, _ in points), tuple(price for _, price in points), reason)
