"""API processes and refreshers that share a Redis, as on several machines."""

import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest

from aggregator.api.status.exchange_status import UNKNOWN
from tests.parts import redis_server
from tests.parts.exchanges import NAMES, Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import CALLS, COLD, EVENLY, HOT, INTERVALS, SIZES, SYMBOLS, rate, timestamp

pytestmark = pytest.mark.real


class Fleet:
    """API processes and refreshers on one Redis and one history."""

    def __init__(self, folder: Path, redis: RedisServer, symbols_file: Path, market: Market) -> None:
        self.redis = redis
        self._folder = folder
        self._settings: dict[str, object] = {
            "symbols_file": symbols_file,
            "exchanges": market.setting,
            "refresh_cooldown": 0,
            "exchange_timeout": 0.5,  # a refresh without a refresher times out two seconds later
            **SIZES,
            **INTERVALS,
        }
        self.refreshers = [self.start("refresher"), self.start("refresher")]
        self.apis = [self.start("api"), self.start("api")]
        self.settled()

    def start(self, role: str, **settings: object) -> Service:
        """Start one more process."""
        return Service(self._folder, role=role, cache_url=self.redis.url, **(self._settings | settings))

    def settled(self) -> None:
        """Wait until every process is ready without reasons."""
        for service in (*self.refreshers, *self.apis):
            service.started()
            wait_for(lambda service=service: is_ready(service), what=service.process.output)  # type: ignore[misc]

    def calls(self) -> float:
        """Return the number of calls that the first exchange has received from all refreshers."""
        return sum(refresher.metric(CALLS) for refresher in self.refreshers)

    def stop(self) -> None:
        """Stop all processes; each must end with exit code 0."""
        for service in (*self.apis, *self.refreshers):
            assert service.process.stop() == 0, service.process.output
            assert "Traceback" not in service.process.output


def reasons(service: Service) -> list[str]:
    """Return the reasons of /ready."""
    reasons: list[str] = service.get("/ready").json["reasons"]
    return reasons


def is_ready(service: Service) -> bool:
    """Return whether the service is ready without reasons."""
    ready = service.get("/ready")
    return ready.status == 200 and ready.json["reasons"] == []


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, symbols_file: Path, shared_market: Market) -> Iterator[Fleet]:
    """Run two of each role; a test that ends one starts another."""
    shared_market.sound()
    with redis_server.alone() as server:
        running = Fleet(tmp_path_factory.mktemp("fleet"), server, symbols_file, shared_market)
        yield running
        running.stop()
        running.redis.stop()


class TestFleet:
    """Two API processes and two refreshers."""

    def test_the_api_serves_what_the_refreshers_refresh(self, fleet: Fleet) -> None:
        """The API serves all assets from three sources, newer each interval, without calling an exchange."""
        now = time.time()
        wait_for(lambda: all(_all_newer_than(api, now) for api in fleet.apis), allowed(8), "newer prices")
        for api in fleet.apis:
            wait_for(partial(_has_all_sources, api), what="prices of three exchanges")
            assert api.metric(CALLS) == 0

    def test_a_refresher_s_own_port(self, fleet: Fleet) -> None:
        """The refresher's port serves health and metrics, and no prices."""
        for refresher in fleet.refreshers:
            assert refresher.get("/health").text == "OK"
            assert set(refresher.get("/ready").json["exchanges"]) == set(NAMES)
            assert refresher.metric('price_refresh_interval_seconds{tier="cold"}') == INTERVALS["cold_interval"]
            for path in ("/prices/btcusdt", "/prices?tier=hot", "/prices/btcusdt/history"):
                assert refresher.get(path).status == 404
            assert refresher.post("/refresh/btcusdt").status == 404

    def test_two_refreshers_share_the_work_of_one(self, fleet: Fleet) -> None:
        """Two refreshers together call an exchange as often as one would, and both work.

        Two that do not share call it twice as often. A job that a slow machine holds up may be done by both, or late.
        """
        each = [refresher.metric(CALLS) for refresher in fleet.refreshers]
        wait_for(lambda: 0.6 * EVENLY < rate(fleet.calls, 9) < 1.7 * EVENLY, what="the calls of one refresher")
        assert all(refresher.metric(CALLS) > before for refresher, before in zip(fleet.refreshers, each, strict=True))

    def test_a_refresh_at_one_api_is_seen_at_the_other(self, fleet: Fleet) -> None:
        """A refresh at one API process replaces the price in the other's local cache."""
        here, there = fleet.apis
        for symbol in (HOT[0], COLD[0]):
            assert there.get(f"/prices/{symbol}").status == 200
            refreshed = here.post(f"/refresh/{symbol}").json["timestamp"]
            wait_for(partial(_is_as_new, there, symbol, refreshed), allowed(0.5))

    def test_an_api_that_comes_late_is_ready_at_once(self, fleet: Fleet) -> None:
        """An API process that starts later finds the tiers' freshness in Redis and is ready at once."""
        late = fleet.start("api").started()
        wait_for(lambda: is_ready(late), allowed(0.5), "the late one to be ready")
        assert late.process.stop() == 0

    def test_exchanges_are_as_both_refreshers_see_them(self, fleet: Fleet) -> None:
        """/exchanges has both refreshers' views of exchanges that do well."""
        api = fleet.apis[0]

        def are_well() -> bool:
            shown = api.get("/exchanges").json["exchanges"]
            assert [one["name"] for one in shown] == list(NAMES)
            measured = all(one["tickers"] and one["mean_absolute_distance"] is not None for one in shown)
            return measured and {(one["refreshers"], one["state"]) for one in shown} == {(2, "ok")}

        wait_for(are_well, what="no problem")

    def test_one_refresher_killed_costs_nobody_a_price(self, fleet: Fleet) -> None:
        """When one refresher is killed, the other takes over its jobs, and all assets stay fresh."""
        api, (killed, left) = fleet.apis[0], fleet.refreshers
        assert killed.process.stop(SIGKILL) == -SIGKILL
        now = time.time()
        wait_for(lambda: _all_newer_than(api, now), allowed(2 * INTERVALS["cold_interval"] + 5), "newer prices")
        fleet.refreshers = [left, fleet.start("refresher")]
        fleet.settled()

    def test_without_refreshers_the_api_is_not_ready(self, fleet: Fleet) -> None:
        """Without refreshers the API is 503 once hot prices are older than three intervals, and ready when one is back.

        Meanwhile it knows no exchange, and says so.
        """
        api = fleet.apis[0]
        for refresher in fleet.refreshers:
            assert refresher.process.stop() == 0
        wait_for(lambda: api.get("/ready").status == 503, allowed(3 * 0.5 + 2))
        assert api.get("/ready").json["reasons"][0].startswith("hot tier: p95 age is ")
        wait_for(lambda: UNKNOWN in reasons(api))
        assert api.get("/ready").json["exchanges"] == {}
        refused = api.get("/exchanges")
        assert (refused.status, refused.json["code"]) == (503, "exchanges_unknown")
        answer = api.post(f"/refresh/{HOT[0]}")
        assert answer.status == 502
        assert [one["exchange"] for one in answer.json["left_out"]] == ["refreshers"]
        fleet.refreshers = [fleet.start("refresher"), fleet.start("refresher")]
        fleet.settled()

    def test_redis_emptied(self, fleet: Fleet) -> None:
        """FLUSHALL deletes prices, jobs and consumer groups; no process ends, and all recover by themselves."""
        _say(fleet.redis, b"FLUSHALL")
        _heals(fleet)

    def test_redis_away_and_back(self, fleet: Fleet) -> None:
        """With Redis killed each refresher works alone and reads are served; afterwards they share jobs again."""
        fleet.redis.process.signal(SIGKILL)
        fleet.redis.process.ended()
        for api in fleet.apis:
            wait_for(partial(_misses_redis, api), allowed(5))
            wait_for(partial(_knows_no_exchange, api), what="the exchanges to be unknown")
            assert api.get(f"/prices/{COLD[0]}").status == 200
        alone = [refresher.metric(CALLS) for refresher in fleet.refreshers]
        wait_for(
            lambda: all(
                refresher.metric(CALLS) >= before + 3 for refresher, before in zip(fleet.refreshers, alone, strict=True)
            ),
            allowed(10),
        )
        fleet.redis = RedisServer(fleet.redis.port)
        _heals(fleet)

    def test_the_api_tells_how_the_exchanges_do(self, fleet: Fleet, market: Market) -> None:
        """The API reports the exchanges as the refreshers see them.

        A breaker open at both is a reason in /ready, and /exchanges says that the exchange is down and why. This is the
        last test of these processes, because a breaker stays open for half a minute.
        """
        for api in fleet.apis:
            wait_for(partial(_shows_breakers, api, dict.fromkeys(NAMES, "closed")), what="three closed breakers")
            wait_for(partial(_has_tickers, api), what="tickers of all exchanges")
        market.exchanges["exchange2"].faults(error_rate=1)
        for api in fleet.apis:
            wait_for(lambda api=api: "exchange2: its breaker is open" in reasons(api))  # type: ignore[misc]
            wait_for(partial(_shows_breakers, api, {"exchange2": "open"}), what="the open breaker")
            wait_for(lambda api=api: api.get("/ready").status == 200, what="readiness")  # type: ignore[misc]
            wait_for(partial(_tells_that_it_is_down, api), what="the failing exchange")


def _shows_breakers(api: Service, breakers: dict[str, str]) -> bool:
    """Return whether /ready has these breakers. It has none while the reports are late, as on a busy machine."""
    shown = api.get("/ready").json["exchanges"]
    return breakers.items() <= {name: state["breaker"] for name, state in shown.items()}.items()


def _has_tickers(api: Service) -> bool:
    shown = api.get("/ready").json["exchanges"]
    return set(shown) == set(NAMES) and all(one["last_ticker_seconds_ago"] is not None for one in shown.values())


def _tells_that_it_is_down(api: Service) -> bool:
    answer = api.get("/exchanges/exchange2")
    if answer.status != 200:  # the reports of both refreshers are late
        return False
    failing = answer.json
    is_down: bool = (failing["state"], failing["problem"]) == ("down", "its breaker is open")
    return is_down and 0 < failing["left_out"]["http_error"] < 1


def _has_all_sources(api: Service) -> bool:
    prices = api.get(f"/prices?assets={','.join(SYMBOLS)}").json["prices"]
    return [price["sources"] for price in prices] == [3] * len(SYMBOLS)


def _all_newer_than(api: Service, moment: float) -> bool:
    return all(timestamp(api, symbol) > moment for symbol in SYMBOLS)


def _heals(fleet: Fleet) -> None:
    """Check that both refresh every asset, /ready has no reasons, and the refreshers share jobs again."""
    now = time.time()
    wait_for(lambda: all(_all_newer_than(api, now) for api in fleet.apis), allowed(15), "newer prices")
    for api in fleet.apis:
        # Subscribers reconnect after a random pause of five seconds at most.
        wait_for(partial(_can_refresh, api), allowed(10))
    fleet.settled()
    wait_for(lambda: rate(fleet.calls, 7) < 1.7 * EVENLY, what="the calls of one refresher")


def _is_as_new(api: Service, symbol: str, than: float) -> bool:
    return timestamp(api, symbol) >= than


def _misses_redis(api: Service) -> bool:
    return "Redis" in api.get("/ready").json["stores"]["cache"]


def _knows_no_exchange(api: Service) -> bool:
    return any(one.startswith("exchanges: not known: Redis") for one in reasons(api))


def _can_refresh(api: Service) -> bool:
    return api.post(f"/refresh/{COLD[1]}").status == 200


def _say(redis: RedisServer, command: bytes) -> None:
    with socket.create_connection(("127.0.0.1", redis.port), timeout=5) as connection:
        connection.sendall(command + b"\r\n")
        assert connection.recv(100) == b"+OK\r\n"
