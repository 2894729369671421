"""GET /sentiment/{asset}, on a store in memory."""

import asyncio
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.events.sentiment import NOT_INSTALLED, SentimentRoute
from aggregator.api.routing.responses import Refusal
from aggregator.errors import StoreUnavailable
from aggregator.news.articles import SentimentItem, label_of
from aggregator.news.topic import SENTIMENT, stored_event
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.ports import StoredEvent
from tests.parts.asgi import get
from tests.parts.examples import CATALOG, NOW


def item(number: int, hours: float, sentiment: float = 0.6, asset: str = "btcusdt") -> SentimentItem:
    """Return an article published so many hours before NOW."""
    at = NOW - hours * 3600
    return SentimentItem(asset, f"mock:{number}", "Bitcoin", "Wire", "", at, sentiment, label_of(sentiment), "none")


class Api:
    """The route over a store."""

    def __init__(self, off: Refusal | None = None, events: MemoryEvents | None = None) -> None:
        self.events = events or MemoryEvents(1e12, lambda: NOW)
        route = SentimentRoute(CATALOG, self.events, lambda: NOW, off, 0.2)
        self.app = build(route.routes(), Metrics(CollectorRegistry()))

    async def get(self, target: str) -> Any:
        """GET a target."""
        return await get(self.app, target)


async def test_the_newest_come_first() -> None:
    """Of the hours that are asked for; the summary counts them."""
    api = Api()
    strong = msgspec.structs.replace(item(3, 2, -0.8), correlation_strength="strong")
    found = [item(1, 1), item(2, 23, 0.01), strong, item(4, 25), item(5, 1, asset="ethusdt"), item(6, -60 / 3600)]
    await api.events.put(SENTIMENT.name, [stored_event(one) for one in found])
    answer = (await api.get("/sentiment/BTC-USDT")).json
    assert [one["id"] for one in answer["items"]] == ["mock:6", "mock:1", "mock:3", "mock:2"]
    assert {name: answer[name] for name in ("asset", "hours", "count")} == {"asset": "btcusdt", "hours": 24, "count": 4}
    assert answer["summary"] == {"positive": 2, "negative": 1, "neutral": 1, "strong_correlations": 1}
    assert (await api.get("/sentiment/btcusdt?hours=1")).json["count"] == 2
    assert (await api.get("/sentiment/btcusdt?hours=168")).json["count"] == 5


async def test_many_articles() -> None:
    """50 are shown, up to 1,000 are counted."""
    api = Api()
    await api.events.put(SENTIMENT.name, [stored_event(item(number, number / 100)) for number in range(1200)])
    answer = (await api.get("/sentiment/btcusdt")).json
    assert (len(answer["items"]), answer["count"], answer["summary"]["positive"]) == (50, 1000, 1000)


@pytest.mark.parametrize("hours", ["0", "169", "-1", "1.5", "", "x", "9999999999"])
async def test_wrong_hours(hours: str) -> None:
    """400 names the parameter and its bounds."""
    answer = await Api().get(f"/sentiment/btcusdt?hours={hours}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")
    assert answer.json["msg"] == "hours must be a whole number from 1 to 168"


@pytest.mark.parametrize(("asset", "status"), [("nosuch", 404), ("a.b", 400)])
async def test_wrong_assets(asset: str, status: int) -> None:
    """A malformed and an unlisted symbol are refused as by the other routes."""
    assert (await Api().get(f"/sentiment/{asset}")).status == status


async def test_without_the_extra() -> None:
    """501 says how to install it."""
    answer = await Api(NOT_INSTALLED).get("/sentiment/btcusdt")
    assert (answer.status, answer.json) == (501, {"msg": NOT_INSTALLED.msg, "code": "news_off"})
    assert ".[news]" in answer.json["msg"]


class Away(MemoryEvents):
    """A store that is away, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__(1e12, lambda: NOW)
        self._hangs = hangs

    async def events(self, *_: object, **__: object) -> list[StoredEvent]:
        """Hang, or fail."""
        if self._hangs:
            await asyncio.Event().wait()
        raise StoreUnavailable("away")


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_store_that_is_away(*, hangs: bool) -> None:
    """503, to be tried again."""
    answer = await Api(events=Away(hangs=hangs)).get("/sentiment/btcusdt")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "events_unavailable", "1")
