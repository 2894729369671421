"""Prices over HTTP: one, many, where one came from, and a refresh now."""

import math
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aggregator.api import responses as answers
from aggregator.api.endpoint_labels import bound, missing, names_in, sorted_out
from aggregator.api.keys import Keys
from aggregator.api.price_bodies import PriceBodies, tag_of
from aggregator.api.responses import answer, asset_of, cacheable, refuse
from aggregator.api.throttle import Recheck, Throttle, TooSoon
from aggregator.models import Asset, NoPrice, Price, Tier, encode
from aggregator.ports import Prices
from aggregator.prices.tiers import Catalog

_RETRY_AFTER = {"Retry-After": "1"}


class PriceRoutes:
    """The routes about prices."""

    def __init__(
        self,
        catalog: Catalog,
        prices: Prices,
        refresher: Throttle,
        bodies: PriceBodies,
        keys: Keys,
        recheck: Recheck,
    ) -> None:
        self._catalog = catalog
        self._prices = prices
        self._refresher = refresher
        self._recheck = recheck
        self._bodies = bodies
        self._keys = keys

    def routes(self) -> list[Route]:
        """Return the routes; the last two answer for what no symbol can look like, so they go behind all others."""
        return [
            Route("/prices", self.many, middleware=answers.COMPRESSED),
            Route("/prices/{asset}", self.one),
            Route("/prices/{asset}/sources", self.sources),
            Route("/refresh/{asset}", self.refresh, methods=["POST"]),
            Route("/prices/{asset:path}", self.one),
            Route("/refresh/{asset:path}", self.refresh, methods=["POST"]),
        ]

    async def one(self, request: Request) -> Response:
        """GET /prices/{asset}."""
        asset = asset_of(request, self._catalog)
        body = self._bodies.of(asset, await self._price(asset))
        return cacheable(request, body.raw, body.etag, body.max_age)

    async def many(self, request: Request) -> Response:
        """GET /prices?assets=a,b or ?tier=hot: the known ones, and the missing ones each with its reason."""
        wanted, unknown = self._wanted(request)
        found = await self._prices.get_many(wanted)
        unknown += [missing(asset.symbol, answers.NO_PRICE) for asset in wanted if asset.symbol not in found]
        bodies = [self._bodies.of(asset, found[asset.symbol]) for asset in wanted if asset.symbol in found]
        rest = encode(unknown)
        raw = b'{"prices":[%b],"missing":%b}' % (b",".join([body.raw for body in bodies]), rest)
        max_age = 0 if unknown else min(body.max_age for body in bodies)
        return cacheable(request, raw, tag_of(bodies, rest), max_age)

    async def sources(self, request: Request) -> Response:
        """GET /prices/{asset}/sources: each exchange's ticker and weight, or why it was left out.

        Without a price, 503 with each exchange's answer. Of a stale price, also what they answer now, of which no newer
        one can be made (`no_new_price`).
        """
        asset = asset_of(request, self._catalog)
        outcome, refused = await self._explained(asset)
        if isinstance(outcome, NoPrice):
            return answer({"msg": answers.NO_PRICE, "left_out": outcome.left_out}, 503, _RETRY_AFTER)
        shown = self._bodies.fields(asset, outcome) | {"sources": outcome.sources, "left_out": outcome.left_out}
        return answer(shown if refused is None else shown | {"no_new_price": refused.left_out})

    async def _explained(self, asset: Asset) -> tuple[Price | NoPrice, NoPrice | None]:
        """Return the price or why there is none, and of a stale price, where it is known, why there is no newer one."""
        outcome = await self._prices.get(asset)
        if isinstance(outcome, NoPrice) or not self._bodies.is_stale(asset, outcome):
            return outcome, None
        rechecked = await self._recheck.refresh(asset)
        outcome = await self._prices.get(asset)  # again: meanwhile others may have been answered with a newer one
        if isinstance(rechecked, Price):
            return self._prices.at_least(rechecked), None
        is_stale = isinstance(outcome, Price) and self._bodies.is_stale(asset, outcome)
        return outcome, rechecked if is_stale else None

    async def refresh(self, request: Request) -> Response:
        """POST /refresh/{asset}: fetch, aggregate and store now."""
        self._keys.check_refresh(request)
        asset = asset_of(request, self._catalog)
        outcome = await self._refresher.refresh(asset)
        if isinstance(outcome, TooSoon):
            raise refuse(429, outcome.why, {"Retry-After": str(max(1, math.ceil(outcome.seconds)))})
        if isinstance(outcome, NoPrice) and outcome.history_failing:
            raise refuse(503, "History cannot take a new price now", _RETRY_AFTER)
        if isinstance(outcome, NoPrice):
            why = {"msg": f"No exchange gave a price for {asset.symbol}", "left_out": outcome.left_out}
            return answer(why, 502)
        newest = self._prices.at_least(outcome)
        return answer({"message": f"Price for {asset.symbol} refreshed"} | self._bodies.fields(asset, newest))

    async def _price(self, asset: Asset) -> Price:
        outcome = await self._prices.get(asset)
        if isinstance(outcome, NoPrice):
            raise refuse(503, answers.NO_PRICE, _RETRY_AFTER)
        return outcome

    def _wanted(self, request: Request) -> tuple[Sequence[Asset], list[dict[str, str]]]:
        """Return the assets the query names, and what it names that is none."""
        named = request.query_params.getlist("assets")
        if bool(named) == ("tier" in request.query_params):
            raise refuse(400, "Give either assets=btcusdt,ethusdt or tier=hot")
        if not named:
            return self._of_tier(answers.choice(request, "tier", "", tuple(Tier))), []
        return sorted_out(names_in(named), self._catalog)

    def _of_tier(self, tier: str) -> Sequence[Asset]:
        assets = self._catalog.of(Tier(tier))
        bound(assets)
        return assets
