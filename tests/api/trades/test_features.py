"""GET /aggregations/{asset} and /features/{asset}; and the fast path of these and of /quotes/{asset}."""

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Policy
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path.get import FastPath
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.live.topics import Bus
from aggregator.models import encode
from aggregator.newest import NewestPrices
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts
from aggregator.stores.memory import MemoryCache
from tests.parts.asgi import get
from tests.parts.examples import NOW
from tests.parts.price_api import TTL
from tests.parts.service import Answer
from tests.parts.trade_api import CATALOG, TradeApi, features, trade

AGGREGATIONS = (
    "asset vwap_1min vwap_5min rolling_avg_5min volume_zscore price_momentum trade_frequency window_start window_end"
)


async def test_the_features_of_an_asset() -> None:
    """/aggregations has a part of the fields of /features."""
    api = TradeApi()
    api.live.known["btcusdt"] = features()
    whole = await api.get("/features/BTC-USDT")
    assert whole == {**json.loads(encode(features()), parse_float=Decimal), "anomaly_model": "off"}
    assert (whole["warming_up"], whole["by_second"]) == (["volume_zscore", "price_momentum"], False)
    assert await api.get("/aggregations/btc_usdt") == {name: whole[name] for name in AGGREGATIONS.split()}


async def test_the_state_of_the_anomaly_model() -> None:
    """/features has the state that the process knows when a trade is measured; the topic has none."""
    api = TradeApi()
    hot = HotTrades(api.live, model=lambda asset: "ready" if asset == "btcusdt" else "warming_up")
    for symbol, state in (("btcusdt", "ready"), ("ethusdt", "warming_up")):
        api.live.known[symbol] = structs.replace(features(), asset=symbol)
        reply, event = hot.features.of(symbol), hot.feature_events.of(symbol)
        assert reply is not None
        assert event is not None
        assert json.loads(reply.raw) == {**json.loads(event.raw), "anomaly_model": state}


@pytest.mark.parametrize("route", ["features", "aggregations"])
@pytest.mark.parametrize(
    ("symbol", "status", "code"),
    [("btcusdt", 404, "no_trade"), ("nosuch", 404, "asset_not_found"), ("a.b", 400, "invalid_symbol")],
)
async def test_without_features(route: str, symbol: str, status: int, code: str) -> None:
    """An asset without a trade is told from one that is not listed."""
    answer = await get(TradeApi().app, f"/{route}/{symbol}")
    assert (answer.status, answer.json["code"]) == (status, code)


class Fast:
    """The fast path in front of the routes; `starlette_requests` counts what it has passed on."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.api = TradeApi()
        metrics = self.api.metrics
        self._buffered = BufferedMetrics(
            metrics, AccessCounts(metrics, by_symbol=False), FreshnessMetrics(CATALOG, metrics)
        )
        cache = MemoryCache(NewestPrices(TTL), Bus([]))
        bodies = PriceBodies(CATALOG)
        self.app = FastPath(self._count, CATALOG, cache, bodies, self._buffered, lambda: NOW, policy, hot=self.api.hot)
        self.starlette_requests = 0
        self.api.live.known["btcusdt"] = features()
        self.api.live.quotes["btcusdt"] = trade()

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.starlette_requests += 1
        await self.api.app(scope, receive, send)

    async def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path."""
        named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        return await get(self.app, target, named, method)

    def counted(self, label: str) -> list[float]:
        """Return the number of responses and of durations of a route, as /metrics shows them."""
        self._buffered.flush()
        value = self.api.metrics.registry.get_sample_value
        return [
            value("price_api_requests_total", {"endpoint": label, "status": "200"}) or 0.0,
            value("price_api_request_duration_seconds_count", {"endpoint": label}) or 0.0,
        ]


@pytest.mark.parametrize("route", ["quotes", "aggregations", "features"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_both_ways_give_the_same_answer(route: str, method: str) -> None:
    """Status, headers, body and metrics; only Starlette's answer has a request id."""
    fast = Fast()
    answer = await fast.get(f"/{route}/btcusdt", method)
    assert fast.starlette_requests == 0
    slow = await get(fast.api.app, f"/{route}/btcusdt", method=method)
    assert slow.headers.pop("x-request-id")
    assert (answer.status, answer.headers, answer.body) == (slow.status, slow.headers, slow.body)
    assert fast.counted(f"/{route}") == [2, 2]


async def test_a_change_is_answered_at_once() -> None:
    """Features and quotes are encoded once, and again for a new value."""
    fast = Fast()
    first = fast.api.hot.features.of("btcusdt")
    assert fast.api.hot.features.of("btcusdt") is first
    fast.api.live.known["btcusdt"] = features(window_end=NOW + 1)
    fast.api.live.quotes["btcusdt"] = trade(2, timestamp=NOW + 1)
    assert (await fast.get("/features/btcusdt")).json["window_end"] == NOW + 1
    assert (await fast.get("/aggregations/btcusdt")).json["window_end"] == NOW + 1
    assert (await fast.get("/quotes/btcusdt")).json["id"] == "2"
    assert fast.starlette_requests == 0


@pytest.mark.parametrize(
    ("target", "method", "headers", "status"),
    [
        ("/quotes/btcusdt?numbers=string", "GET", {}, 200),
        ("/quotes/BTCUSDT", "GET", {}, 200),
        ("/quotes/ethusdt", "GET", {}, 404),
        ("/features/ethusdt", "GET", {}, 404),
        ("/features/nosuch", "GET", {}, 404),
        ("/features/", "GET", {}, 400),
        ("/features", "GET", {}, 404),
        ("/features/btcusdt", "POST", {}, 405),
        ("/features/btcusdt", "GET", {"content_length": "5"}, 200),
        ("/trades/btcusdt", "GET", {}, 200),
    ],
)
async def test_other_requests_go_to_starlette(target: str, method: str, headers: dict[str, str], status: int) -> None:
    """Where all the checks are."""
    fast = Fast()
    assert (await fast.get(target, method, **headers)).status == status
    assert fast.starlette_requests == 1


async def test_an_asset_that_is_no_longer_listed() -> None:
    """Is not answered, though the processor still knows its trades."""
    fast = Fast()
    fast.api.live.quotes["oldusdt"] = trade(asset="oldusdt")
    answer = await fast.get("/quotes/oldusdt")
    assert (answer.status, answer.json["code"]) == (404, "asset_not_found")


async def test_the_fast_path_checks_keys() -> None:
    """As for prices: a request without a key goes to the application, which refuses it."""
    fast = Fast(Policy(keys=Keys(read_keys=[SecretStr("reader")])))
    await fast.get("/features/btcusdt")
    assert fast.starlette_requests == 1
    assert (await fast.get("/features/btcusdt", x_api_key="reader")).status == 200
    assert fast.starlette_requests == 1
