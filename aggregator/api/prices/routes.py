"""GET /prices/{asset} and GET /prices: current prices, one or many."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.prices.bodies import Body, DetailedBody, PriceBodies, tag_of
from aggregator.api.prices.schema import FIGURES, PRICE, PriceBody
from aggregator.api.routing.description import Response, json, query, query_list
from aggregator.api.routing.parameters import MOST_ASSETS, Missing, check_count, find_assets, split_names
from aggregator.api.routing.responses import (
    INVALID_SYMBOL,
    NO_PRICE,
    NOT_FOUND,
    RETRY_SOON,
    Code,
    Refusal,
    asset_of,
    cacheable,
    choice,
    encoder_of,
    refuse,
    refuse_parameter,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    ETAG,
    IF_NONE_MATCH,
    MAX_AGE,
    NO_PRICE_NOW,
    NOT_LISTED,
    NOT_MODIFIED,
    NUMBERS,
    SYMBOL,
    bad_request,
)
from aggregator.models import Asset, NoPrice, Price, Tier, encode, encode_as_strings
from aggregator.ports import Prices
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.tiers import Catalog

_ASSETS_OR_TIER = "Give either assets or tier, not both."
_GIVE = "Give either assets=btcusdt,ethusdt or tier=hot"
_DETAILS = query(
    "details",
    "Whether a price has its 24-hour figures: change, high, low and volume",
    {"type": "string", "enum": ["true", "false"], "default": "false"},
)


class PriceList(Struct, frozen=True):
    """The prices found, and the requested assets without one."""

    prices: tuple[PriceBody, ...]
    missing: tuple[Missing, ...]


class PriceRoutes:
    """The routes for current prices."""

    def __init__(self, catalog: Catalog, prices: Prices, bodies: PriceBodies, figures: FiguresKeeper) -> None:
        self._catalog = catalog
        self._prices = prices
        self._bodies = bodies
        self._figures = figures

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/prices/{asset:path}",
        label="/prices",
        operation_id="getPrice",
        tag="prices",
        summary="The price of an asset",
        parameters=[ASSET, _DETAILS, NUMBERS, IF_NONE_MATCH],
        responses={
            200: Response(
                "The price. `stale` is true for an old one",
                (json(PriceBody, PRICE, PRICE | FIGURES),),
                (ETAG, MAX_AGE),
            ),
            304: NOT_MODIFIED,
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_PRICE_NOW,
        },
    )
    async def one(self, request: Request) -> HttpResponse:
        """Return the price of one asset. `fast_path.get` answers the same request for a price in the local cache."""
        asset, body_of = asset_of(request, self._catalog), self._body_of(request)
        outcome = await self._prices.get(asset)
        if isinstance(outcome, NoPrice):
            raise refuse(503, NO_PRICE, RETRY_SOON)
        body = body_of(asset, outcome)
        return cacheable(request, body.raw, body.etag, body.max_age)

    @Route(
        "GET",
        "/prices",
        label="/prices",
        operation_id="getPrices",
        tag="prices",
        summary="The prices of many assets, or of a tier",
        description=f"{_ASSETS_OR_TIER} At most {MOST_ASSETS} assets in one request, also for a tier.",
        parameters=[
            query_list(
                "assets",
                f"{_ASSETS_OR_TIER} Symbols in upper or lower case. A repeated symbol is answered once",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_ASSETS},
                [SYMBOL, "ethusdt"],
            ),
            query("tier", _ASSETS_OR_TIER, {"type": "string", "enum": [tier.value for tier in Tier]}),
            _DETAILS,
            NUMBERS,
            IF_NONE_MATCH,
        ],
        responses={
            200: Response(
                "The prices found, and the requested assets without one. A malformed symbol does not fail the request",
                (
                    json(
                        PriceList,
                        {
                            "prices": [PRICE],
                            "missing": [
                                {"asset": "btc", "reason": NOT_FOUND.msg, "near": [SYMBOL, "btcusd"]},
                                {"asset": "b.c", "reason": INVALID_SYMBOL.msg},
                                {"asset": "ethusdt", "reason": NO_PRICE.msg},
                            ],
                        },
                    ),
                ),
                (ETAG, MAX_AGE),
            ),
            304: NOT_MODIFIED,
            400: bad_request(
                "The query string has no assets or too many, or a parameter is malformed",
                Refusal(_GIVE, Code.INVALID_PARAMETER),
            ),
        },
        is_compressed=True,
    )
    async def many(self, request: Request) -> HttpResponse:
        """Return the prices of the requested assets, and the assets without one, each with its reason."""
        assets, without_price = self._requested(request)
        body_of = self._body_of(request)
        found = await self._prices.get_many(assets)
        without_price += [Missing(asset.symbol, NO_PRICE.msg) for asset in assets if asset.symbol not in found]
        bodies = [body_of(asset, found[asset.symbol]) for asset in assets if asset.symbol in found]
        missing_json = encode(without_price)
        raw = b'{"prices":[%b],"missing":%b}' % (b",".join([body.raw for body in bodies]), missing_json)
        max_age = 0 if without_price else min(body.max_age for body in bodies)
        return cacheable(request, raw, tag_of(bodies, missing_json), max_age)

    def _body_of(self, request: Request) -> Callable[[Asset, Price], Body | DetailedBody]:
        """Return the function that makes bodies as the query string asks for them. Raises the response 400."""
        bodies = self._bodies.as_strings if encoder_of(request) is encode_as_strings else self._bodies
        if choice(request, "details", "false", ("true", "false")) == "false":
            return bodies.of
        return lambda asset, price: bodies.detailed(asset, price, self._figures.of(price))

    def _requested(self, request: Request) -> tuple[Sequence[Asset], list[Missing]]:
        """Return the assets of the query string, and its names without an asset. Raises the response 400."""
        lists = request.query_params.getlist("assets")
        if bool(lists) == ("tier" in request.query_params):
            raise refuse_parameter(_GIVE)
        if lists:
            return find_assets(split_names(lists), self._catalog)
        assets = self._catalog.of(Tier(choice(request, "tier", "", tuple(Tier))))
        check_count(assets)
        return assets, []
