"""GET /aggregations/{asset} and /features/{asset}: figures of an asset's trades."""

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.description import Response, json
from aggregator.api.routing.responses import NO_TRADE, asset_of, prepared, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import ASSET, BAD_SYMBOL, NO_STORE, NO_TRADE_YET
from aggregator.api.trades.hot_trades import HotBodies, HotTrades
from aggregator.api.trades.schema import AGGREGATIONS, FEATURES, Aggregations, FeaturesAnswer
from aggregator.prices.tiers import Catalog
from aggregator.trades.features import Features

_ABOUT = (
    "Windows go by the times of the venues: they end with the newest trade that is not late, at `window_end`, and not"
    " now. The figures are computed in binary floating point."
)


class FeatureRoutes:
    """The routes for features."""

    def __init__(self, catalog: Catalog, hot: HotTrades) -> None:
        self._catalog = catalog
        self._hot = hot

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/aggregations/{asset:path}",
        label="/aggregations",
        operation_id="getAggregations",
        tag="trades",
        summary="VWAP, mean, z-score, momentum and frequency of an asset's trades",
        description=_ABOUT,
        parameters=[ASSET],
        responses={
            200: Response("The figures", (json(Aggregations, AGGREGATIONS),), (NO_STORE,)),
            400: BAD_SYMBOL,
            404: NO_TRADE_YET,
        },
    )
    async def aggregations(self, request: Request) -> HttpResponse:
        """Return the figures. `fast_path.get` answers the same request where it may."""
        return self._response(request, self._hot.aggregations)

    @Route(
        "GET",
        "/features/{asset:path}",
        label="/features",
        operation_id="getFeatures",
        tag="trades",
        summary="All features of an asset's trades, and which of them are not known yet",
        description=_ABOUT,
        parameters=[ASSET],
        responses={
            200: Response("The features", (json(FeaturesAnswer, FEATURES),), (NO_STORE,)),
            400: BAD_SYMBOL,
            404: NO_TRADE_YET,
        },
    )
    async def features(self, request: Request) -> HttpResponse:
        """Return the features. `fast_path.get` answers the same request where it may."""
        return self._response(request, self._hot.features)

    def _response(self, request: Request, bodies: HotBodies[Features]) -> HttpResponse:
        reply = bodies.of(asset_of(request, self._catalog).symbol)
        if reply is None:
            raise refuse(404, NO_TRADE)
        return prepared(reply.raw)
