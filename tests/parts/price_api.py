"""The routes of prices on a local cache, in this process, with the fast path in front of them or without it."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.access.throttle import Recheck, Throttle
from aggregator.api.app import build
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path.get import FastPath
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.refresh import RefreshRoute
from aggregator.api.prices.routes import PriceRoutes
from aggregator.api.prices.sources import SourcesRoute
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Asset, NoPrice, Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from aggregator.prices.tiers import assign
from aggregator.stores.memory import MemoryCache
from tests.parts import asgi
from tests.parts.examples import CADENCE, NOW
from tests.parts.memory_history import MemoryHistory
from tests.parts.scripted import Store
from tests.parts.service import Answer

TTL = {tier: cadence.ttl for tier, cadence in CADENCE.items()}


class NoRefresh:
    """A refresh that finds no price at any exchange."""

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Return no price."""
        assert trigger == "force"
        return NoPrice(asset.symbol)


class PriceApi:
    """An ASGI application; `now` is its time, and `starlette_requests` counts what Starlette has served.

    `figures` keeps the prices for the 24-hour figures. It reads `history` only while a test runs it.
    """

    def __init__(
        self,
        prices: Sequence[Price] = (),
        symbols: Sequence[str] = ("btcusdt", "ethusdt"),
        *,
        fast_path: bool = True,
    ) -> None:
        self.now = NOW + 2.25
        self.prices = prices
        catalog = assign([(symbol, "", "") for symbol in symbols], 1, 0, CADENCE)
        metrics = self.metrics = Metrics(CollectorRegistry())
        self.cache = MemoryCache(NewestPrices(TTL, lambda: self.now, lambda: self.now), Bus([PRICES]))
        accesses, bodies = AccessCounts(metrics, by_symbol=True), PriceBodies(catalog, lambda: self.now)
        self.accesses = accesses
        lookup = Lookup(catalog, self.cache, Store(), NoRefresh(), metrics, accesses, lambda: self.now)
        throttle = Throttle(NoRefresh(), cooldown=1, rate=50)
        self.history = MemoryHistory()
        self.figures = FiguresKeeper(catalog, self.history, lambda: self.now)
        routes = [
            *PriceRoutes(catalog, lookup, bodies, self.figures).routes(),
            *SourcesRoute(catalog, lookup, bodies, Recheck(NoRefresh(), 50)).routes(),
            *RefreshRoute(catalog, lookup, throttle, bodies).routes(),
        ]
        self.starlette = build(routes, metrics)
        self.starlette_requests = 0
        self.app: ASGIApp = self._count_starlette
        self.buffered = BufferedMetrics(metrics, accesses, FreshnessMetrics(catalog, metrics))
        if fast_path:
            self.app = FastPath(self._count_starlette, catalog, self.cache, bodies, self.buffered, lambda: self.now)

    async def _count_starlette(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.starlette_requests += 1
        await self.starlette(scope, receive, send)

    async def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Put the prices into the cache, then ask. X-Request-ID, which differs in each answer, is left out."""
        await self.cache.write(self.prices)
        self.figures.receive(self.prices)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await asgi.get(self.app, target, named, method)
        answer.headers.pop("x-request-id", None)
        return answer

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value as /metrics shows it; 0 if there is none."""
        self.buffered.flush()
        return self.metrics.registry.get_sample_value(name, labels) or 0.0
