"""GET /assets, /ready and /metrics, with /health of `health.py`: the state of the service."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.description import Json, Response, json, text
from aggregator.api.routing.responses import NO_STORE as NO_STORE_HEADER
from aggregator.api.routing.responses import Refusal, answer
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE, Count, Symbol
from aggregator.api.status.health import HealthRoute
from aggregator.api.status.readiness import NOT_READY, READY, Readiness, ReadinessCheck
from aggregator.clock import SteadyClock
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import CONTENT_TYPE, Metrics
from aggregator.ports import ExchangeStatus, Lag, OutletStates, Store
from aggregator.prices.freshness import Freshness, VenueCoverage
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit
from aggregator.trades.ports import LiveTrades


class ListedAsset(Struct, frozen=True):
    """A listed asset. `rank` is its row in the symbols file, from 1; base and quote are empty if the file has none.

    `venues` is the number of exchanges known to trade it, `too_few_venues` whether these are too few to make a price.
    Both are absent until a refresher has reported them.
    """

    symbol: Symbol
    base: str
    quote: str
    tier: Tier
    rank: Count
    venues: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    too_few_venues: bool | UnsetType = UNSET


class AssetList(Struct, frozen=True):
    """Every listed asset, hottest tier first."""

    assets: tuple[ListedAsset, ...]


_ASSET: Json = {
    "symbol": "btcusdt",
    "base": "btc",
    "quote": "usdt",
    "tier": Tier.HOT.value,
    "rank": 1,
    "venues": 3,
    "too_few_venues": False,
}


class OpsRoutes:
    """The routes for the state of the service. `trades` is None in a process that takes in no trades.

    `outlets` returns the state of the outlets.
    """

    def __init__(
        self,
        catalog: Catalog,
        stores: Mapping[str, Store],
        sinks: Sequence[GroupCommit],
        watch: ExchangeStatus,
        coverage: VenueCoverage,
        freshness: Freshness,
        lag: Lag | None,
        metrics: Metrics,
        now: Callable[[], float] | None = None,
        clock: SteadyClock | None = None,
        trades: LiveTrades | None = None,
        *,
        needs_prices: bool = True,
        invented_market: bool = False,
        outlets: Callable[[], OutletStates] = OutletStates,
        archive: Callable[[], str] = str,
    ) -> None:
        self._coverage = coverage
        self._metrics = metrics
        self._catalog = catalog
        clock = clock or SteadyClock()
        now = now or clock.now
        self._readiness = ReadinessCheck(
            catalog,
            stores,
            sinks,
            watch,
            freshness,
            lag,
            clock,
            now,
            trades,
            outlets,
            needs_prices=needs_prices,
            invented_market=invented_market,
            archive=archive,
        )
        self._health = HealthRoute(self._readiness, trades, now)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [*routes_of(self), *self._health.routes()]

    @Route(
        "GET",
        "/assets",
        label="/assets",
        operation_id="getAssets",
        tag="service",
        summary="Every listed asset with its tier, rank and number of exchanges",
        responses={
            200: Response("The assets, hottest tier first", (json(AssetList, {"assets": [_ASSET]}),), (NO_STORE,))
        },
        is_compressed=True,
    )
    async def assets(self, _: Request) -> HttpResponse:
        """Return every listed asset."""
        return answer({"assets": [self._listed(asset) for asset in self._catalog.assets.values()]})

    def _listed(self, asset: Asset) -> dict[str, object]:
        entry = msgspec.structs.asdict(asset)
        venues = self._coverage.venues.get(asset.symbol)
        return entry if venues is None else entry | {"venues": venues, "too_few_venues": venues < self._coverage.need}

    @Route(
        "GET",
        "/metrics",
        label="/metrics",
        operation_id="getMetrics",
        tag="service",
        summary="Metrics for Prometheus",
        responses={
            200: Response(
                "Prometheus text format 0.0.4", (text("text/plain", "price_cache_hits_total 12.0\n"),), (NO_STORE,)
            )
        },
        access="open",
        is_probe=True,
    )
    async def metrics(self, _: Request) -> HttpResponse:
        """Return the metrics in Prometheus' text format."""
        return HttpResponse(await self._metrics.scrape(), headers=NO_STORE_HEADER, media_type=CONTENT_TYPE)

    @Route(
        "GET",
        "/ready",
        label="/ready",
        operation_id="getReadiness",
        tag="service",
        summary="Whether the service can serve prices",
        responses={
            200: Response(
                "The prices of the hottest tier are fresh, and history stores new prices. `reasons` lists other"
                " problems",
                (json(Readiness, READY),),
                (NO_STORE,),
            ),
            503: Response(
                "They are not, for the given reasons; or the service is at its limit of concurrent requests",
                (json((Readiness, Refusal), NOT_READY),),
                (NO_STORE,),
            ),
        },
        access="open",
        is_probe=True,
    )
    async def ready(self, _: Request) -> HttpResponse:
        """Return 200 while the prices of the hottest tier are fresh and history stores new ones, else 503."""
        found = await self._readiness.look()
        return answer(found, 200 if found.ready else 503)
