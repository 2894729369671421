"""GET /prices/{asset}/sources without a price, or with a stale one: each exchange's reason."""

from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.access.throttle import Recheck, Throttle
from aggregator.api.app import build
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.refresh import RefreshRoute
from aggregator.api.prices.routes import PriceRoutes
from aggregator.api.prices.sources import SourcesRoute
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from tests.parts import asgi
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.memory_history import MemoryHistory
from tests.parts.scripted import Store
from tests.parts.service import Answer

APART = (
    LeftOut("exchange1", Reason.DISAGREEMENT, "median 200", Decimal(100), Decimal(1), NOW),
    LeftOut("exchange2", Reason.DISAGREEMENT, "median 200", Decimal(300), Decimal(1), NOW),
    LeftOut("exchange3", Reason.BREAKER_OPEN, "open for another 30 s"),
)
TOLD = [
    {"exchange": one, "reason": "disagreement", "detail": "median 200", "price": at, "volume": 1, "timestamp": NOW}
    for one, at in (("exchange1", 100), ("exchange2", 300))
] + [{"exchange": "exchange3", "reason": "breaker_open", "detail": "open for another 30 s"}]


class Refreshes:
    """A refresher that returns `outcome`, and counts the refreshes of each asset."""

    def __init__(self) -> None:
        self.outcome: Price | NoPrice = NoPrice("btcusdt", APART)
        self.asked: Counter[str] = Counter()
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Return the outcome."""
        assert trigger == "force"  # no POST /refresh
        self.asked[asset.symbol] += 1
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.outcome


class Api:
    """The routes at a time that tests set, for reading and for refreshing."""

    def __init__(self, rate: float = 50) -> None:
        self.now = NOW
        self.refreshes = Refreshes()
        self.cache = Store()
        self.cache.near = True
        metrics = Metrics(CollectorRegistry())

        def later() -> float:
            return self.now

        lookup = Lookup(
            CATALOG, self.cache, Store(), self.refreshes, metrics, AccessCounts(metrics, by_symbol=False), later, later
        )
        throttle, recheck = Throttle(self.refreshes, 1, rate), Recheck(self.refreshes, rate, later)
        bodies = PriceBodies(CATALOG, later)
        routes = [
            *PriceRoutes(CATALOG, lookup, bodies, FiguresKeeper(CATALOG, MemoryHistory())).routes(),
            *SourcesRoute(CATALOG, lookup, bodies, recheck).routes(),
            *RefreshRoute(CATALOG, lookup, throttle, bodies).routes(),
        ]
        self.app = build(routes, metrics)

    async def sources(self, symbol: str = "btcusdt") -> Answer:
        """GET the sources."""
        return await asgi.get(self.app, f"/prices/{symbol}/sources")


@pytest.fixture
def api() -> Api:
    """Return the routes without any price."""
    return Api()


async def test_no_price_is_explained(api: Api) -> None:
    """503 with each exchange's reason and Retry-After; for a second, the same without another refresh."""
    for _ in range(3):
        answer = await api.sources()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.json == {"msg": "No price known now", "code": "no_price", "left_out": TOLD}
        assert answer.headers["cache-control"] == "no-store"
    assert api.refreshes.asked == {"btcusdt": 1}


async def test_a_single_price_has_a_plain_refusal(api: Api) -> None:
    """GET /prices/{asset} is refused as usual."""
    answer = await asgi.get(api.app, "/prices/btcusdt")
    assert (answer.status, answer.json) == (503, {"msg": "No price known now", "code": "no_price"})


async def test_a_stale_price_is_shown_with_the_reason_why_there_is_no_newer(api: Api) -> None:
    """Its sources, and each exchange's reason; they are asked at most once a second."""
    await api.cache.write([price()])
    fresh = (await api.sources()).json
    assert (fresh["stale"], "no_new_price" in fresh) == (False, False)
    assert not api.refreshes.asked
    api.now = NOW + 8
    for _ in range(3):
        stale = (await api.sources()).json
        assert (stale["stale"], stale["price"]) == (True, fresh["price"])
        assert (stale["sources"], stale["left_out"]) == (fresh["sources"], fresh["left_out"])
        assert stale["no_new_price"] == TOLD
    assert api.refreshes.asked == {"btcusdt": 1}
    api.now += 1.5
    assert (await api.sources()).json["no_new_price"] == TOLD
    assert api.refreshes.asked == {"btcusdt": 2}


async def test_a_price_that_can_be_made_is_shown(api: Api) -> None:
    """If the recheck makes a new price, this response and all others show it, and none an older one."""
    await api.cache.write([price()])
    api.now = NOW + 8
    api.refreshes.outcome = price(timestamp=NOW + 7, amount="80000")
    made = (await api.sources()).json
    assert (made["stale"], made["price"], "no_new_price" in made) == (False, 80000, False)
    assert (await asgi.get(api.app, "/prices/btcusdt")).json["price"] == 80000
    api.now = NOW + 20
    api.refreshes.outcome = price(timestamp=NOW - 1, amount="70000")
    kept = (await api.sources()).json
    assert (kept["stale"], kept["price"]) == (True, 80000)


async def test_a_newer_price_of_another_refresh_is_used(api: Api) -> None:
    """Another refresh makes a price during a failing recheck: the response is not older than that price."""
    await api.cache.write([price()])
    api.now = NOW + 8
    api.refreshes.meanwhile = lambda: api.cache.write([price(timestamp=NOW + 7, amount="80000")])
    found = (await api.sources()).json
    assert (found["stale"], found["price"], "no_new_price" in found) == (False, 80000, False)


async def test_rechecks_have_a_rate_limit() -> None:
    """All assets together have a rate limit; beyond it, the last reasons are shown, if they are not old."""
    api = Api(rate=1)
    await api.cache.write([price()])
    api.now = NOW + 8
    assert (await api.sources()).json["no_new_price"] == TOLD
    assert (await api.sources("ethusdt")).status == 503
    api.now = NOW + 9.5
    await api.cache.write([price("ethusdt", NOW - 500, tier=CATALOG.assets["ethusdt"].tier)])
    assert "no_new_price" in (await api.sources("ethusdt")).json  # which takes the second's token
    assert (await api.sources()).json["no_new_price"] == TOLD
    asked = api.refreshes.asked["btcusdt"]
    assert asked == 1
