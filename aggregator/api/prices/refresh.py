"""POST /refresh/{asset}: ask the exchanges for a price now."""

import math

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.access.key_descriptions import KEY_NEEDED
from aggregator.api.access.throttle import Throttle, TooSoon
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.schema import LATE, OUTLIER, PRICE, NoPriceFound, Refreshed
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.responses import RETRY_SOON, Code, Refusal, answer, asset_of, encoder_of, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    RETRY_AFTER,
    SYMBOL,
    refusal,
)
from aggregator.models import NoPrice
from aggregator.ports import Prices
from aggregator.prices.tiers import Catalog

_HISTORY_FAILING = Refusal("History cannot take a new price now", Code.HISTORY_UNAVAILABLE)


class RefreshRoute:
    """The route that forces a refresh, as often as the throttle allows."""

    def __init__(self, catalog: Catalog, prices: Prices, throttle: Throttle, bodies: PriceBodies) -> None:
        self._catalog = catalog
        self._prices = prices
        self._throttle = throttle
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "POST",
        "/refresh/{asset:path}",
        label="/refresh",
        operation_id="refresh",
        tag="prices",
        summary="Ask the exchanges now",
        description="Fetches, aggregates and stores a price. Concurrent requests for one asset share one fetch. Needs a"
        " key if `API_KEYS` is set.",
        parameters=[ASSET, NUMBERS],
        responses={
            200: Response(
                "The new price, which has been stored",
                (json(Refreshed, {"message": f"Price for {SYMBOL} refreshed"} | PRICE),),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            **KEY_NEEDED,
            404: NOT_LISTED,
            429: refusal(
                "Too many refreshes of this asset or of all assets, or too many invalid keys", headers=(RETRY_AFTER,)
            ),
            502: Response(
                "No exchange gave a price. `left_out` has the reason of each",
                (
                    json(
                        NoPriceFound,
                        {
                            "msg": f"No exchange gave a price for {SYMBOL}",
                            "code": Code.NO_NEW_PRICE.value,
                            "left_out": [LATE, OUTLIER],
                        },
                    ),
                ),
                (NO_STORE,),
            ),
            503: refusal(
                "History cannot store a new price now, or the service is at its limit of concurrent requests",
                _HISTORY_FAILING,
                headers=(RETRY_AFTER,),
            ),
        },
        access="write",
    )
    async def refresh(self, request: Request) -> HttpResponse:
        """Refresh the price and return it; the key has been checked before."""
        asset, encode = asset_of(request, self._catalog), encoder_of(request)
        outcome = await self._throttle.refresh(asset)
        if isinstance(outcome, TooSoon):
            raise refuse(429, outcome.why, {"Retry-After": str(max(1, math.ceil(outcome.seconds)))})
        if isinstance(outcome, NoPrice) and outcome.history_failing:
            raise refuse(503, _HISTORY_FAILING, RETRY_SOON)
        if isinstance(outcome, NoPrice):
            message = f"No exchange gave a price for {asset.symbol}"
            return answer(NoPriceFound(message, Code.NO_NEW_PRICE, outcome.left_out), 502, encode=encode)
        newest = self._prices.at_least(outcome)
        body = {"message": f"Price for {asset.symbol} refreshed"} | self._bodies.fields(asset, newest)
        return answer(body, encode=encode)
