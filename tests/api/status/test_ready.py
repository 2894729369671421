"""The exchanges in /ready: a clock that stands still, no tickers, a cool-down."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.status.exchange_status import UNKNOWN, LocalStatus, problem_of, summary
from aggregator.api.status.ops import OpsRoutes
from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import Ticker
from aggregator.observability.metrics import Metrics
from aggregator.ports import OutletStates
from aggregator.prices.freshness import Freshness, VenueCoverage
from tests.parts.asgi import get
from tests.parts.examples import BTC, CATALOG, ETH, NOW, price
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.scripted import ScriptedExchange, Store

MAX_AGE = 10.0  # of the hot tier


class Told(ScriptedExchange):
    """An exchange in a given state."""

    def __init__(self, **state: object) -> None:
        super().__init__("exchange1")
        vars(self).update(state)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, ""),
        ({"idle_seconds": 2, "newest_ticker": NOW - 2.5}, ""),
        ({"idle_seconds": 5, "newest_ticker": NOW - 35.12}, "its newest ticker is 35.1 s old: its clock stands still"),
        ({"idle_seconds": 60, "newest_ticker": NOW - 62}, ""),  # nobody has asked since: others do the work
        ({"idle_seconds": 60, "newest_ticker": NOW + 3}, ""),
        ({"idle_seconds": 40, "newest_ticker": NOW - 41, "silent_seconds": 40.2}, "has given no ticker for 40 s"),
        ({"silent_seconds": 40.2}, "has given no ticker for 40 s"),
        ({"silent_seconds": 9.9}, ""),
        ({"breaker_state": "open", "silent_seconds": 40}, "its breaker is open"),
        ({"breaker_state": "half-open"}, "its breaker is half-open"),
        ({"quiet_seconds": 5}, ""),
        ({"rejection": "outlier, 7 of 9 assets"}, "its tickers are rejected: outlier, 7 of 9 assets"),
        (
            {"rejection": "outlier, 7 of 9 assets", "push_trouble": "lost"},
            "its tickers are rejected: outlier, 7 of 9 assets",
        ),
        ({"rejection": "outlier, 7 of 9 assets", "breaker_state": "open"}, "its breaker is open"),
        (
            {"rejection": "too_old, 9 of 9 assets", "idle_seconds": 5, "newest_ticker": NOW - 35.12},
            "its newest ticker is 35.1 s old: its clock stands still",
        ),
    ],
)
def test_the_problem_of_an_exchange(state: dict[str, object], told: str) -> None:
    """One problem at a time, the most obvious first."""
    assert problem_of(Told(**state), NOW, MAX_AGE) == told


def test_several_refreshers_see_one_exchange() -> None:
    """The state of one with a problem is shown, and how many have it; else of the one that received a ticker last."""
    idle, busy = Told(idle_seconds=60, newest_ticker=NOW - 61), Told(idle_seconds=2, newest_ticker=NOW - 2.5)
    shown, reasons = summary([[idle], [busy]], NOW, MAX_AGE)
    assert (shown["exchange1"]["last_ticker_seconds_ago"], reasons) == (2, [])  # type: ignore[index]  # it is JSON
    cut_off = Told(breaker_state="open", idle_seconds=50)
    shown, reasons = summary([[busy], [cut_off], [idle]], NOW, MAX_AGE)
    assert shown["exchange1"]["breaker"] == "open"  # type: ignore[index]  # it is JSON
    assert reasons == ["exchange1: its breaker is open (at 1 of 3 refreshers)"]
    assert summary([[cut_off], [cut_off]], NOW, MAX_AGE)[1] == ["exchange1: its breaker is open"]
    assert summary([[Told()]], NOW, MAX_AGE)[1] == []
    lying = Told(rejection="outlier, 7 of 9 assets")
    shown, reasons = summary([[busy], [lying]], NOW, MAX_AGE)
    assert shown["exchange1"]["rejected"] == "outlier, 7 of 9 assets"  # type: ignore[index]  # it is JSON
    assert reasons == ["exchange1: its tickers are rejected: outlier, 7 of 9 assets (at 1 of 2 refreshers)"]


def test_unknown_exchanges() -> None:
    """While the exchanges are unknown, there are no states, and the reason says so."""
    assert summary([], NOW, MAX_AGE) == ({}, [UNKNOWN])


async def test_outlets_and_their_dead_letters_are_shown() -> None:
    """An outlet that is away or has ended is a reason, and so are dead letters; the process stays ready."""
    states = OutletStates({"desk": "", "queue": "SQS: throttled", "hook": "ended: HTTP 410"}, dead_letters=2)
    metrics = Metrics(CollectorRegistry())
    freshness = Freshness(CATALOG, metrics)
    stores = {"cache": Store(), "history": Store()}
    ops = OpsRoutes(
        *(CATALOG, stores, [], LocalStatus([]), VenueCoverage(), freshness, None, metrics, lambda: NOW),
        outlets=lambda: states,
    )
    freshness.receive([price(timestamp=NOW), price("ethusdt", NOW)])
    answer = await get(build(ops.routes(), metrics), "/ready")
    assert answer.status == 200
    assert answer.json["outlets"] == {"desk": "ok", "queue": "SQS: throttled", "hook": "ended: HTTP 410"}
    assert answer.json["reasons"][-3:] == [
        "outlet queue: SQS: throttled",
        "outlet hook: ended: HTTP 410",
        "outlets: 2 refused events are kept (`aggregator dead-letters list --kind outlets`)",
    ]


class Scene:
    """An exchange over HTTP, and /ready in front of it, at a time that can be advanced."""

    def __init__(self, url: str, http: Any) -> None:
        self.ahead = 0.0  # of the wall clock
        self.later = 0.0  # of the monotonic one
        metrics = Metrics(CollectorRegistry())
        self.exchange = HttpExchange(
            "exchange2", url, Mock(), http, metrics, 4, clock=lambda: time.monotonic() + self.later, now=self.now
        )
        self.freshness = Freshness(CATALOG, metrics)
        stores = {"cache": Store(), "history": Store()}
        ops = OpsRoutes(
            CATALOG, stores, [], LocalStatus([self.exchange]), VenueCoverage(), self.freshness, None, metrics, self.now
        )
        self.app = build(ops.routes(), metrics)

    def now(self) -> float:
        """Return unix seconds."""
        return time.time() + self.ahead

    async def ready(self) -> tuple[list[str], dict[str, Any]]:
        """GET /ready while the hot prices are fresh from other exchanges; return reasons and the exchange's state."""
        self.freshness.receive([price(timestamp=self.now()), price("ethusdt", self.now())])
        answer = await get(self.app, "/ready")
        assert answer.status == 200
        return answer.json["reasons"], answer.json["exchanges"]["exchange2"]

    async def gives_tickers(self) -> bool:
        """Fetch two tickers in one request."""
        return all(isinstance(one, Ticker) for one in (await self.exchange.fetch([BTC, ETH])).values())


@pytest.fixture
async def scene(market: Market) -> AsyncIterator[Scene]:
    """Open the scene on a sound exchange."""
    async with session(2) as http:
        yield Scene(market.exchanges["exchange2"].url, http)


@pytest.mark.real
async def test_a_clock_that_stands_still(scene: Scene, market: Market) -> None:
    """The exchange answers, so no breaker opens; /ready names it until its clock goes again."""
    assert await scene.gives_tickers()
    reasons, shown = await scene.ready()
    assert reasons == []
    assert 0 <= shown["newest_ticker_seconds_ago"] < allowed(1)
    market.exchanges["exchange2"].faults(freeze_clock=True)
    assert await scene.gives_tickers()
    for _ in range(7):
        scene.ahead += 5
        scene.later += 5
        assert await scene.gives_tickers()
    (reason,), shown = await scene.ready()
    assert re.match(r"exchange2: its newest ticker is (3[5-9]|4\d)\.", reason)
    assert reason.endswith(" s old: its clock stands still")
    assert shown["breaker"] == "closed"
    assert shown["last_ticker_seconds_ago"] < 1
    assert 35 <= shown["newest_ticker_seconds_ago"] < 37
    market.sound()
    scene.ahead = 0
    assert await scene.gives_tickers()
    assert (await scene.ready())[0] == []


@pytest.mark.real
async def test_a_time_from_the_future_hides_nothing(scene: Scene, market: Market) -> None:
    """A ticker of next year is no proof that the clock goes; it is not remembered as the newest."""
    market.exchanges["exchange2"].faults()
    scene.ahead = -60
    assert await scene.gives_tickers()
    assert (await scene.ready())[1]["newest_ticker_seconds_ago"] is None


@pytest.mark.real
async def test_an_exchange_without_tickers(scene: Scene, market: Market) -> None:
    """Since the first request, or since its last ticker, once that is longer than the largest age of a ticker."""
    market.exchanges["exchange2"].faults(rate_limit=0)
    assert not await scene.gives_tickers()
    reasons, shown = await scene.ready()
    assert reasons == []
    assert 0 <= shown["quiet_for_seconds"] <= 1
    assert shown["last_ticker_seconds_ago"] is None
    scene.later += 40
    assert (await scene.ready())[0] == ["exchange2: has given no ticker for 40 s"]
    market.sound()
    assert await scene.gives_tickers()
    assert (await scene.ready())[0] == []
    market.exchanges["exchange2"].faults(rate_limit=0)
    assert not await scene.gives_tickers()
    scene.later += 9
    assert (await scene.ready())[0] == []
    scene.later += 2
    assert (await scene.ready())[0] == ["exchange2: has given no ticker for 11 s"]


@pytest.mark.real
async def test_an_exchange_that_is_not_polled_has_no_problem(scene: Scene, market: Market) -> None:
    """If several refreshers share the work, this one may poll rarely."""
    assert market
    assert await scene.gives_tickers()
    scene.ahead += 60
    scene.later += 60
    reasons, shown = await scene.ready()
    assert reasons == []
    assert shown["last_ticker_seconds_ago"] >= 60


@pytest.mark.real
async def test_an_open_breaker(scene: Scene, market: Market) -> None:
    """A reason, and no 503."""
    market.exchanges["exchange2"].faults(error_rate=1)
    for _ in range(5):
        assert not await scene.gives_tickers()
    reasons, shown = await scene.ready()
    assert reasons == ["exchange2: its breaker is open"]
    assert shown["breaker"] == "open"
