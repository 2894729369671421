"""Too much of everything, in this process: how many requests are let in, and how often a refresh may be forced."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from aggregator.api.app import build
from aggregator.api.price_bodies import PriceBodies
from aggregator.api.prices import PriceRoutes
from aggregator.api.refresh import RefreshRoute
from aggregator.api.throttle import Throttle, TokenBucket, TooSoon
from aggregator.models import Asset, NoPrice, Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from tests.parts import asgi
from tests.parts.examples import BTC, CATALOG, NOW, price
from tests.parts.routes import route_to
from tests.parts.scripted import Store
from tests.parts.service import Answer

ETH = CATALOG.assets["ethusdt"]


class Refreshes:
    """Gives a price, or none, when let go; counts how often it was asked for each asset."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.go = asyncio.Event()
        self.go.set()
        self.has_prices = True

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Answer once let go."""
        assert trigger == "manual"
        self.asked[asset.symbol] += 1
        await self.go.wait()
        return price(asset.symbol, tier=asset.tier) if self.has_prices else NoPrice(asset.symbol)


class Refreshing:
    """The application with a throttle at a time that goes when told."""

    def __init__(self, cooldown: float = 1, rate: float = 50) -> None:
        self.time = 0.0
        self.refreshes = Refreshes()
        self.metrics = Metrics(CollectorRegistry())
        self.throttle = Throttle(self.refreshes, cooldown, rate, lambda: self.time)
        accesses = AccessCounts(self.metrics, by_symbol=False)
        lookup = Lookup(CATALOG, Store(), Store(), self.refreshes, self.metrics, accesses, lambda: NOW)
        bodies = PriceBodies(CATALOG, lambda: NOW)
        routes = [
            *PriceRoutes(CATALOG, lookup, bodies).routes(),
            *RefreshRoute(CATALOG, lookup, self.throttle, bodies).routes(),
        ]
        self.app = build(routes, self.metrics, 2000)

    async def post(self, symbol: str = "btcusdt") -> Answer:
        """POST /refresh."""
        return await asgi.get(self.app, f"/refresh/{symbol}", method="POST")


def statuses(answers: list[Answer]) -> Counter[int]:
    """Return how many answers have which status."""
    return Counter(answer.status for answer in answers)


async def test_a_thousand_at_once_are_one_refresh() -> None:
    """All are answered with the price that one fetch brought."""
    api = Refreshing()
    api.refreshes.go.clear()
    asking = [asyncio.create_task(api.post()) for _ in range(1000)]
    while api.metrics.registry.get_sample_value("price_api_requests_in_flight") != 1000:
        await asyncio.sleep(0)
    api.refreshes.go.set()
    assert statuses(await asyncio.gather(*asking)) == {200: 1000}
    assert api.refreshes.asked == {"btcusdt": 1}


async def test_an_asset_just_refreshed_is_not_refreshed_again() -> None:
    """429 until its pause is over, whole seconds in Retry-After; other assets are none of its business."""
    api = Refreshing(cooldown=2.5)
    assert (await api.post()).status == 200
    refused = await api.post("BTCUSDT")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "3"
    assert refused.json == {"msg": "btcusdt has just been refreshed: once every 2.5 s is enough"}
    api.time = 2.4
    assert (await api.post()).headers["retry-after"] == "1"
    assert (await api.post("ethusdt")).status == 200
    api.time = 2.5
    assert (await api.post()).status == 200
    assert api.refreshes.asked == {"btcusdt": 2, "ethusdt": 1}
    assert api.metrics.registry.get_sample_value(
        "price_api_requests_total", {"endpoint": "/refresh", "status": "429"}
    ) == pytest.approx(2)


async def test_the_pause_is_after_a_failure_too() -> None:
    """Exchanges that have nothing are not to be asked all the time either."""
    api = Refreshing()
    api.refreshes.has_prices = False
    assert (await api.post()).status == 502
    assert (await api.post()).status == 429


async def test_no_pause_where_none_is_wanted() -> None:
    """Cool-down 0."""
    api = Refreshing(cooldown=0)
    assert statuses([await api.post() for _ in range(20)]) == {200: 20}


async def test_all_assets_together_have_a_rate() -> None:
    """429 beyond it, though no asset was asked for twice; what shares a flight costs nothing of it."""
    api = Refreshing(cooldown=0, rate=2)
    assert statuses([await api.post(symbol) for symbol in ("btcusdt", "ethusdt")]) == {200: 2}
    refused = await api.post()
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json == {"msg": "At most 2 refreshes a second can be forced"}
    api.time = 0.5
    api.refreshes.go.clear()
    sharing = [asyncio.create_task(api.post()) for _ in range(10)]
    await asyncio.sleep(0)
    api.refreshes.go.set()
    assert statuses(await asyncio.gather(*sharing)) == {200: 10}


async def test_what_is_refused_for_other_reasons_costs_nothing() -> None:
    """400 and 404 come first."""
    api = Refreshing(rate=1)
    assert [(await api.post(symbol)).status for symbol in ("b!", "nosuch", "btcusdt")] == [400, 404, 200]


async def test_pauses_that_are_over_are_forgotten() -> None:
    """Memory holds the assets of one cool-down."""
    api = Refreshing(rate=1000)
    for number in range(100):
        api.time = 10.0 * number
        assert isinstance(await api.throttle.refresh(BTC), Price)
        assert isinstance(await api.throttle.refresh(ETH), Price)
        assert len(api.throttle._not_before) <= 2
    api.time += 10
    assert isinstance(await api.throttle.refresh(BTC), Price)
    assert list(api.throttle._not_before) == ["btcusdt"]


def test_a_bucket_saves_up_a_second() -> None:
    """Not more, however long nobody came; slower than one a second, there is still one."""
    bucket = TokenBucket(10, 0.0)
    assert [bucket.acquire(1000.0) for _ in range(11)] == [0.0] * 10 + [pytest.approx(0.1)]
    bucket = TokenBucket(0.1, 0.0)
    assert [bucket.acquire(0.0), bucket.acquire(4.0), bucket.acquire(10.0)] == [0.0, pytest.approx(6), 0.0]


async def test_the_wait_is_until_there_is_a_token() -> None:
    """In seconds, for Retry-After."""
    api = Refreshing(cooldown=0, rate=0.1)
    assert (await api.post()).status == 200
    assert (await api.post("ethusdt")).headers["retry-after"] == "10"
    refused = await api.throttle.refresh(ETH)
    assert isinstance(refused, TooSoon)
    assert refused.seconds == pytest.approx(10)


class Busy:
    """An application of which three requests may be under way: one that waits, one that streams, one that crashes."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.metrics = Metrics(CollectorRegistry())
        routes = [
            route_to("/assets", self._wait),
            route_to("/prices", self._stream),
            route_to("/prices/{asset}", self._crash),
            *(route_to(path, self._at_once, is_probe=True) for path in ("/health", "/ready", "/metrics")),
        ]
        self.app = build(routes, self.metrics, 3)

    async def _wait(self, _: Request) -> Response:
        await self.go.wait()
        return PlainTextResponse("done")

    async def _stream(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "begun"
            await self.go.wait()
            yield ", done"

        return StreamingResponse(parts())

    async def _crash(self, _: Request) -> Response:
        raise ZeroDivisionError

    async def _at_once(self, _: Request) -> Response:
        return PlainTextResponse("OK")

    @property
    def in_flight(self) -> float:
        """What the gauge says."""
        return self.metrics.registry.get_sample_value("price_api_requests_in_flight") or 0.0


@pytest.mark.parametrize("path", ["/assets", "/prices"])
async def test_beyond_the_bound_requests_are_refused_at_once(path: str) -> None:
    """503 with Retry-After and counted as such; a streaming answer counts to its end; then there is room again."""
    busy = Busy()
    asking = [asyncio.create_task(asgi.get(busy.app, path)) for _ in range(10)]
    while sum(one.done() for one in asking) < 7:
        await asyncio.sleep(0)
    assert busy.in_flight == 3
    refused = [one.result() for one in asking if one.done()]
    assert {(one.status, one.headers["retry-after"], one.text) for one in refused} == {
        (503, "1", '{"msg":"Too many requests under way"}')
    }
    for ops in ("/health", "/ready", "/metrics"):
        assert (await asgi.get(busy.app, ops)).status == 200
    busy.go.set()
    assert statuses(list(await asyncio.gather(*asking))) == {200: 3, 503: 7}
    assert busy.in_flight == 0
    assert (await asgi.get(busy.app, path)).status == 200
    labels = {"endpoint": path, "status": "503"}
    assert busy.metrics.registry.get_sample_value("price_api_requests_total", labels) == 7


async def test_a_crash_gives_its_place_back() -> None:
    """Else a few bugs would close the door for good."""
    busy = Busy()
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await asgi.get(busy.app, "/prices/btcusdt")
    assert busy.in_flight == 0
