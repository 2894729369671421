"""GET /prices/{asset}/sources: the tickers that a price was made of."""

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.access.throttle import Recheck
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.schema import DISAGREEMENT, LATE, OUTLIER, PRICE, SOURCE, NoPriceFound, PriceSources
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.responses import NO_PRICE, RETRY_SOON, Refusal, answer, asset_of, encoder_of
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import ASSET, BAD_REQUEST, NO_STORE, NOT_LISTED, NUMBERS, RETRY_AFTER
from aggregator.models import Asset, NoPrice, Price
from aggregator.ports import Prices
from aggregator.prices.tiers import Catalog


class SourcesRoute:
    """The route for the sources of a price. `recheck` asks the exchanges again about a stale price."""

    def __init__(self, catalog: Catalog, prices: Prices, bodies: PriceBodies, recheck: Recheck) -> None:
        self._catalog = catalog
        self._prices = prices
        self._bodies = bodies
        self._recheck = recheck

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/prices/{asset:path}/sources",
        label="/prices",
        operation_id="getSources",
        tag="prices",
        summary="The sources of the price of an asset",
        description="For a stale price, the service asks the exchanges now, at most once a second for each asset. The"
        " response has the new price, or in `no_new_price` each exchange's reason why there is none.",
        parameters=[ASSET, NUMBERS],
        responses={
            200: Response(
                "Each exchange's ticker and weight, or the reason why it was left out",
                (
                    json(
                        PriceSources,
                        PRICE
                        | {"degraded": True}
                        | {"sources": [SOURCE, SOURCE | {"exchange": "exchange4"}], "left_out": [LATE, OUTLIER]},
                    ),
                ),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: Response(
                "No price is known now: `left_out` has each exchange's reason. Without `left_out`, the service is at"
                " its limit of concurrent requests",
                (
                    json(
                        (NoPriceFound, Refusal),
                        {
                            "msg": NO_PRICE.msg,
                            "code": NO_PRICE.code.value,
                            "left_out": [DISAGREEMENT | {"exchange": "exchange1", "price": 77896.49245}, DISAGREEMENT],
                        },
                    ),
                ),
                (NO_STORE, RETRY_AFTER),
            ),
        },
    )
    async def sources(self, request: Request) -> HttpResponse:
        """Return the price with its sources; 503 with each exchange's reason if there is no price."""
        asset, encode = asset_of(request, self._catalog), encoder_of(request)
        outcome, no_newer = await self._explained(asset)
        if isinstance(outcome, NoPrice):
            return answer(NoPriceFound(NO_PRICE.msg, NO_PRICE.code, outcome.left_out), 503, RETRY_SOON, encode)
        body = self._bodies.fields(asset, outcome) | {"sources": outcome.sources, "left_out": outcome.left_out}
        return answer(body if no_newer is None else body | {"no_new_price": no_newer.left_out}, encode=encode)

    async def _explained(self, asset: Asset) -> tuple[Price | NoPrice, NoPrice | None]:
        """Return the price, or why there is none; and of a stale price, why there is no newer one, if known."""
        outcome = await self._prices.get(asset)
        if isinstance(outcome, NoPrice) or not self._bodies.is_stale(asset, outcome):
            return outcome, None
        rechecked = await self._recheck.refresh(asset)
        outcome = await self._prices.get(asset)  # again: other requests may have returned a newer price meanwhile
        if isinstance(rechecked, Price):
            return self._prices.at_least(rechecked), None
        is_stale = isinstance(outcome, Price) and self._bodies.is_stale(asset, outcome)
        return outcome, rechecked if is_stale else None
