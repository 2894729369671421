"""GET /exchanges: several refreshers' views of an exchange become one, and what is answered without any."""

import asyncio
import csv
import io
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import Application, build
from aggregator.api.status.exchange_figures import ExchangeReport, RateLimit, reports
from aggregator.api.status.exchange_status import LocalStatus
from aggregator.api.status.exchanges import ExchangeRoutes
from aggregator.errors import StoreUnavailable
from aggregator.models import RateTokens, VenueWindow
from aggregator.observability.metrics import Metrics
from aggregator.ports import ExchangeState, ExchangeStatus
from tests.parts import asgi
from tests.parts.examples import CATALOG, NOW
from tests.parts.scripted import ScriptedExchange

MAX_AGE = 10.0  # of the hot tier


class Seen(ScriptedExchange):
    """An exchange in a given state."""

    def __init__(self, name: str = "exchange1", **state: object) -> None:
        super().__init__(name)
        vars(self).update(state)


def merged(*seen: Seen) -> ExchangeReport:
    """Return the report of one exchange that several refreshers see."""
    (report,) = reports([[one] for one in seen], NOW, MAX_AGE)
    return report


@pytest.mark.parametrize(
    ("states", "state", "problem"),
    [
        ([{}], "ok", None),
        ([{"idle_seconds": 3}, {}], "ok", None),
        ([{"breaker_state": "open"}], "down", "its breaker is open"),
        ([{"silent_seconds": 10.4}], "down", "has given no ticker for 10 s"),
        ([{"breaker_state": "open", "push_trouble": ""}], "degraded", "its breaker is open"),
        ([{"breaker_state": "open"}, {}], "degraded", "its breaker is open (at 1 of 2 refreshers)"),
        ([{"breaker_state": "open"}, {"silent_seconds": 99}], "down", "its breaker is open"),
        ([{"breaker_state": "half-open"}], "degraded", "its breaker is half-open"),
        ([{"rejection": "outlier, 7 of 9 assets"}], "degraded", "its tickers are rejected: outlier, 7 of 9 assets"),
        ([{"quiet_seconds": 12.4}], "degraded", "wants no calls for another 12 s"),
        ([{"push_trouble": "mute"}], "degraded", "is polled, as its feed has fallen back: mute"),
    ],
)
def test_the_state_of_an_exchange(states: list[dict[str, object]], state: str, problem: str | None) -> None:
    """Down only if no refresher gets tickers; degraded if any has a problem."""
    report = merged(*(Seen("exchange1", **one) for one in states))
    assert (report.state, report.problem) == (state, problem)


def test_the_worst_view_is_shown() -> None:
    """Of breaker, feed, cool-down and tokens; the last ticker and the listing are the newest known."""
    one = Seen(breaker_state="half-open", push_trouble="", idle_seconds=2.0, quiet_seconds=3.0, listed=None)
    one.tokens = RateTokens(7, 10.0)
    other = Seen(breaker_state="open", push_trouble="mute", idle_seconds=0.5, quiet_seconds=1.0, listed=17)
    other.tokens = RateTokens(3, 10.0)
    for report in (merged(one, other), merged(other, one)):
        assert (report.breaker, report.push, report.push_problem) == ("open", "fallen_back", "mute")
        assert (report.cooldown_seconds, report.rate_limit, report.assets) == (3.0, RateLimit(3, 10.0), 17)
        assert (report.last_ticker, report.last_ticker_iso) == (NOW - 0.5, "2025-10-09T08:53:19.500Z")
        assert report.refreshers == 2


def test_what_is_not_known_is_null() -> None:
    """Before the first ticker, and of an exchange without a rate limit, a feed or a listing."""
    report = merged(Seen())
    assert (report.last_ticker, report.last_ticker_iso, report.rate_limit, report.assets) == (None, None, None, None)
    assert (report.tickers, report.left_out, report.mean_distance, report.mean_absolute_distance) == (0, {}, None, None)
    assert (report.push, report.push_problem) == ("polled", None)
    assert (merged(Seen(push_trouble="")).push, merged(Seen(), Seen(push_trouble="")).push) == ("pushing", "polled")


def test_counts_are_added_up() -> None:
    """Each refresher counts its own share of the work; a reason of a newer version counts, but has no name here."""
    one, other = Seen(), Seen()
    one.window = VenueWindow(60, {"timeout": 20, "outlier": 1, "mood": 9}, 61, -0.061, 0.122)
    other.window = VenueWindow(10, {}, 0, 0.0, 0.0)
    report = merged(one, other)
    assert (report.tickers, report.left_out) == (100, {"timeout": 0.2, "outlier": 0.01})
    assert (report.mean_distance, report.mean_absolute_distance) == (-0.001, 0.002)


class Board:
    """A status board with given views, that fails or hangs if there are none."""

    def __init__(self, *views: Sequence[ExchangeState], error: Exception | None = None) -> None:
        self._views = views
        self._error = error

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return the views, or raise the error. A TimeoutError stands for a Redis that hangs."""
        if isinstance(self._error, TimeoutError):
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        return self._views


def application(watch: ExchangeStatus) -> Application:
    """Return an application with the routes."""
    return build(ExchangeRoutes(CATALOG, watch, lambda: NOW).routes(), Metrics(CollectorRegistry()))


async def test_every_exchange_and_one() -> None:
    """In the order of the settings, under its name in upper or lower case, and with both forms of a time."""
    app = application(LocalStatus([Seen("kraken", idle_seconds=1.0), Seen("coinbase")]))
    answer = await asgi.get(app, "/exchanges")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json["window_seconds"] == 300
    assert [one["name"] for one in answer.json["exchanges"]] == ["kraken", "coinbase"]
    one = await asgi.get(app, "/exchanges/KRAKEN")
    assert one.json == answer.json["exchanges"][0]
    assert (one.json["last_ticker"], one.json["last_ticker_iso"]) == (NOW - 1, "2025-10-09T08:53:19.000Z")


async def test_as_csv() -> None:
    """With a header, a row for each exchange, and nothing where a value is null."""
    board = Seen("kraken", idle_seconds=1.0)
    board.window = VenueWindow(98, {"outlier": 1, "timeout": 1})
    for target, headers in (("/exchanges?format=csv", {}), ("/exchanges", {"Accept": "text/csv"})):
        answer = await asgi.get(application(LocalStatus([board, Seen("coinbase")])), target, headers)
        assert answer.headers["content-type"].startswith("text/csv")
        first, second = csv.DictReader(io.StringIO(answer.text))
        assert (first["name"], first["left_out"], first["tokens_left"]) == ("kraken", "timeout=0.01 outlier=0.01", "")
        assert (second["name"], second["last_ticker"], second["refreshers"]) == ("coinbase", "", "1")
    refusing = {"Accept": "application/json, text/csv;q=0"}
    answer = await asgi.get(application(LocalStatus([board])), "/exchanges", refusing)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("krakn", ["kraken"]),
        ("nothing-like-it", None),
        ("kraken" * 9, None),
        ("%00", None),
        ("\N{KELVIN SIGN}raken", ["kraken"]),
    ],
)
async def test_an_unknown_name(name: str, near: list[str] | None) -> None:
    """404 with the names that it may mean."""
    answer = await asgi.get(application(LocalStatus([Seen("kraken"), Seen("coinbase")])), f"/exchanges/{name}")
    assert (answer.status, answer.json["code"], answer.json.get("near")) == (404, "exchange_not_found", near)


@pytest.mark.parametrize(
    "board", [Board(), Board([]), Board(error=StoreUnavailable("Redis: away")), Board(error=TimeoutError())]
)
@pytest.mark.parametrize("target", ["/exchanges", "/exchanges?format=csv", "/exchanges/kraken"])
async def test_without_a_refresher_that_reports(board: Board, target: str) -> None:
    """503 with Retry-After, also while Redis is away or hangs."""
    answer = await asgi.get(application(board), target)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "exchanges_unknown", "1")


async def test_an_unknown_format() -> None:
    """400 that names the parameter and what is allowed."""
    answer = await asgi.get(application(LocalStatus([Seen()])), "/exchanges?format=xml")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")
    assert answer.json["msg"] == "format must be one of json, csv"
