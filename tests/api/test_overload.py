"""Overload in one process: the limit of concurrent requests, and the rate limits of forced refreshes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from aggregator.api.access.throttle import Throttle, TokenBucket, TooSoon
from aggregator.api.app import build
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.refresh import RefreshRoute
from aggregator.api.prices.routes import PriceRoutes
from aggregator.models import Asset, NoPrice, Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from tests.parts import asgi
from tests.parts.examples import BTC, CATALOG, NOW, price
from tests.parts.memory_history import MemoryHistory
from tests.parts.routes import route_to
from tests.parts.scripted import Store
from tests.parts.service import Answer

ETH = CATALOG.assets["ethusdt"]


class Refreshes:
    """A refresher that waits until `go` is set, and counts the refreshes of each asset."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.go = asyncio.Event()
        self.go.set()
        self.has_prices = True

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Return a price, or none, once `go` is set."""
        assert trigger == "manual"
        self.asked[asset.symbol] += 1
        await self.go.wait()
        return price(asset.symbol, tier=asset.tier) if self.has_prices else NoPrice(asset.symbol)


class Refreshing:
    """The application with a throttle, at a time that tests set."""

    def __init__(self, cooldown: float = 1, rate: float = 50) -> None:
        self.time = 0.0
        self.refreshes = Refreshes()
        self.metrics = Metrics(CollectorRegistry())
        self.throttle = Throttle(self.refreshes, cooldown, rate, lambda: self.time)
        accesses = AccessCounts(self.metrics, by_symbol=False)
        lookup = Lookup(CATALOG, Store(), Store(), self.refreshes, self.metrics, accesses, lambda: NOW)
        bodies = PriceBodies(CATALOG, lambda: NOW)
        routes = [
            *PriceRoutes(CATALOG, lookup, bodies, FiguresKeeper(CATALOG, MemoryHistory())).routes(),
            *RefreshRoute(CATALOG, lookup, self.throttle, bodies).routes(),
        ]
        self.app = build(routes, self.metrics, 2000)

    async def post(self, symbol: str = "btcusdt") -> Answer:
        """POST /refresh."""
        return await asgi.get(self.app, f"/refresh/{symbol}", method="POST")


def statuses(answers: list[Answer]) -> Counter[int]:
    """Return the number of responses by status."""
    return Counter(answer.status for answer in answers)


async def test_a_thousand_at_once_are_one_refresh() -> None:
    """All get the price of one fetch."""
    api = Refreshing()
    api.refreshes.go.clear()
    asking = [asyncio.create_task(api.post()) for _ in range(1000)]
    while api.metrics.registry.get_sample_value("price_api_requests_in_flight") != 1000:
        await asyncio.sleep(0)
    api.refreshes.go.set()
    assert statuses(await asyncio.gather(*asking)) == {200: 1000}
    assert api.refreshes.asked == {"btcusdt": 1}


async def test_an_asset_just_refreshed_is_not_refreshed_again() -> None:
    """429 during its cool-down, with whole seconds in Retry-After; other assets are not affected."""
    api = Refreshing(cooldown=2.5)
    assert (await api.post()).status == 200
    refused = await api.post("BTCUSDT")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "3"
    assert refused.json == {
        "msg": "btcusdt has just been refreshed: once every 2.5 s is enough",
        "code": "refreshed_too_often",
    }
    api.time = 2.4
    assert (await api.post()).headers["retry-after"] == "1"
    assert (await api.post("ethusdt")).status == 200
    api.time = 2.5
    assert (await api.post()).status == 200
    assert api.refreshes.asked == {"btcusdt": 2, "ethusdt": 1}
    assert api.metrics.registry.get_sample_value(
        "price_api_requests_total", {"endpoint": "/refresh", "status": "429"}
    ) == pytest.approx(2)


async def test_a_failed_refresh_starts_the_cooldown() -> None:
    """A failed refresh starts the cool-down too."""
    api = Refreshing()
    api.refreshes.has_prices = False
    assert (await api.post()).status == 502
    assert (await api.post()).status == 429


async def test_no_cooldown() -> None:
    """With a cool-down of 0, an asset can be refreshed again at once."""
    api = Refreshing(cooldown=0)
    assert statuses([await api.post() for _ in range(20)]) == {200: 20}


async def test_all_assets_together_have_a_rate_limit() -> None:
    """429 beyond it, even for different assets; requests that share a flight cost one token."""
    api = Refreshing(cooldown=0, rate=2)
    assert statuses([await api.post(symbol) for symbol in ("btcusdt", "ethusdt")]) == {200: 2}
    refused = await api.post()
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json == {"msg": "Forced refreshes are limited to 2 a second", "code": "refreshed_too_often"}
    api.time = 0.5
    api.refreshes.go.clear()
    sharing = [asyncio.create_task(api.post()) for _ in range(10)]
    await asyncio.sleep(0)
    api.refreshes.go.set()
    assert statuses(await asyncio.gather(*sharing)) == {200: 10}


async def test_malformed_refreshes_cost_no_token() -> None:
    """400 and 404 cost no token."""
    api = Refreshing(rate=1)
    assert [(await api.post(symbol)).status for symbol in ("b!", "nosuch", "btcusdt")] == [400, 404, 200]


async def test_finished_cooldowns_are_dropped() -> None:
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


def test_a_bucket_holds_a_second_of_tokens() -> None:
    """Not more, however long it is unused; below one token a second its capacity is one token."""
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
    """An application with three request slots, and routes that wait, stream or crash."""

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
        """Return the value of the gauge."""
        return self.metrics.registry.get_sample_value("price_api_requests_in_flight") or 0.0


@pytest.mark.parametrize("path", ["/assets", "/prices"])
async def test_requests_beyond_the_limit_are_refused_at_once(path: str) -> None:
    """503 with Retry-After, and counted; a streaming response holds its slot to its end; then slots are free again."""
    busy = Busy()
    asking = [asyncio.create_task(asgi.get(busy.app, path)) for _ in range(10)]
    while sum(one.done() for one in asking) < 7:
        await asyncio.sleep(0)
    assert busy.in_flight == 3
    refused = [one.result() for one in asking if one.done()]
    assert {(one.status, one.headers["retry-after"], one.text) for one in refused} == {
        (503, "1", '{"msg":"Too many requests under way","code":"overloaded"}')
    }
    for ops in ("/health", "/ready", "/metrics"):
        assert (await asgi.get(busy.app, ops)).status == 200
    busy.go.set()
    assert statuses(list(await asyncio.gather(*asking))) == {200: 3, 503: 7}
    assert busy.in_flight == 0
    assert (await asgi.get(busy.app, path)).status == 200
    labels = {"endpoint": path, "status": "503"}
    assert busy.metrics.registry.get_sample_value("price_api_requests_total", labels) == 7


async def test_a_crash_frees_its_slot() -> None:
    """Otherwise a few crashes would use up all slots."""
    busy = Busy()
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await asgi.get(busy.app, "/prices/btcusdt")
    assert busy.in_flight == 0
