"""A real Prometheus scrapes the real service (two workers and a refresher) under load, and its queries have results.

The tests depend on their order: no fault, then one failing exchange, then one fault after the other.
"""

import ast
import http.client
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.deploy.watched import wait_for_data
from tests.exchanges.venues.binance import BinanceFeed
from tests.exchanges.venues.sockets import beside
from tests.observability.test_metrics import EXPECTED
from tests.parts import limits, redis_server
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.exchanges import Market
from tests.parts.monitoring import (
    ALERTS,
    BOARDS,
    SIGNAL_ALERTS,
    TARGETS,
    TRADE_ALERTS,
    RunningPrometheus,
    Target,
    needs_prometheus,
)
from tests.parts.process import ROOT, wait_for
from tests.parts.service import Service, call

pytestmark = [pytest.mark.real, needs_prometheus]

ASSETS = {"hot": 60, "medium": 10, "cold": 10}  # as few as fill an outbox of 1 MiB in some seconds
REFUSED = "ethusdt"
# Alerts about speed. A minute is a second here, so on a machine that others keep busy they fire with good reason.
ABOUT_SPEED = {"ApiSlow", "HotTierStale", "OutboxGrowing"}


class Readers:
    """Clients: two threads send all kinds of requests, a third reads a stream."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(2)]
        self._threads.append(threading.Thread(target=self._listen))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the clients."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._done.is_set():
            for path in (
                "/prices/btcusdt",
                "/prices/btcusdt/history",
                "/prices/solusdt",
                "/prices?tier=hot",
                "/prices/no",
            ):
                self._ask("GET", path)
            self._ask("POST", "/refresh/btcusdt")
            self._done.wait(0.5)

    def _listen(self) -> None:
        while not self._done.is_set():
            try:
                with urllib.request.urlopen(f"{self._service.url}/stream?assets=btcusdt", timeout=2) as stream:
                    while not self._done.is_set() and stream.readline():
                        pass
            except (urllib.error.URLError, http.client.HTTPException, OSError):
                self._done.wait(0.1)

    def _ask(self, method: str, path: str) -> None:
        try:
            (self._service.get if method == "GET" else self._service.post)(path)
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            self._done.wait(0.1)  # the service is being stopped, as in the last test


class Scene:
    """The service with all its parts, and Prometheus."""

    def __init__(self, folder: Path, market: Market, dynamodb: DynamoServer, stack: ExitStack) -> None:
        self.market = market
        self.redis = stack.enter_context(redis_server.alone())
        self.dynamodb = DynamoProxy(dynamodb.endpoint)
        stack.callback(self.dynamodb.stop)
        self.binance = BinanceFeed()  # an exchange with a WebSocket feed
        self.agree()
        stack.enter_context(beside(self.binance))
        pushing = f"binance=binance+{self.binance.url}/polled+{self.binance.push_url}"
        symbols = folder / "symbols.csv"
        lines = (ROOT / "symbols.csv").read_text().splitlines(keepends=True)
        symbols.write_text("".join(lines[: sum(ASSETS.values()) + 1]))
        self.service = Service(
            folder,
            workers=2,
            symbols_file=symbols,
            cache_url=self.redis.url,
            history_url=self.dynamodb.url("watched"),
            exchanges=f"{market.setting},{pushing}",
            hot_size=ASSETS["hot"],
            medium_size=ASSETS["medium"],
            hot_interval=0.5,
            medium_interval=1,
            cold_interval=2,
            refresh_cooldown=0,
            outbox_max_bytes=1 << 20,
            min_sources=1,
        )
        stack.callback(self.service.process.stop)
        self.service.filled()
        readers = Readers(self.service)
        stack.callback(readers.stop)
        self.prometheus = RunningPrometheus(folder, self.service.url)
        stack.callback(self.prometheus.process.stop)

    def agree(self) -> None:
        """Make the WebSocket feed send the market's own prices."""
        for symbol, quote in self.binance.rest.quotes.items():
            answer = call("GET", f"{self.market.exchanges['exchange1'].url}/mock/ticker/{symbol}")
            if answer.status == 200:
                self.binance.prices[symbol] = str(answer.json["price"])
                self.binance.rest.quotes[symbol] = msgspec.structs.replace(quote, price=self.binance.prices[symbol])

    def lie(self) -> None:
        """Make the WebSocket feed send prices far from the market's."""
        self.binance.prices.clear()

    def fill_the_disk(self) -> None:
        """Make all file writes of the refresher fail."""
        pids = ast.literal_eval(self.service.process.wait_for_line(r"workers .*pids=(\[[\d, ]+\])")[1])
        psutil.Process(pids[-1]).rlimit(psutil.RLIMIT_FSIZE, (1, 1))

    def stop_exchanges(self) -> None:
        """Make every exchange answer 500."""
        for exchange in self.market.exchanges.values():
            exchange.faults(error_rate=1)
        self.binance.mute, self.binance.rest.fault = True, self.binance.rest.maintenance

    def stop_stores(self) -> None:
        """Stop Redis, and make DynamoDB hang."""
        self.dynamodb.faults(hang_rate=1)
        self.redis.stop()


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, shared_market: Market, dynamodb_running: DynamoServer
) -> Iterator[Scene]:
    """Run all parts once for this module."""
    shared_market.sound()
    with ExitStack() as stack:
        stack.callback(shared_market.sound)
        yield Scene(tmp_path_factory.mktemp("watched"), shared_market, dynamodb_running, stack)


def has_names(scene: Scene, target: Target) -> bool:
    """Return whether a series has every label that the legend uses; otherwise the legend would have a gap."""
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target.legend))
    return any(wanted <= one["metric"].keys() for one in scene.prometheus.ask(target.filled_in))


def as_dashboards_ask(name: str, labels: set[str]) -> str:
    """Return a query of the form that the previous system's dashboards have for this metric."""
    by = ", ".join(sorted(labels))
    if name.endswith(("_duration_seconds", "_latency_seconds")):
        return f"histogram_quantile(0.95, sum by ({', '.join(['le', *sorted(labels)])}) (rate({name}_bucket[5s]))) >= 0"
    return f"sum by ({by}) (rate({name}[5s]))" if name.endswith("_total") else name


def test_nothing_fires_while_all_is_well(scene: Scene) -> None:
    """Without faults every recorded metric has a value, alerts neither fire nor stay pending, all processes count."""
    wait_for(lambda: bool(scene.prometheus.ask("instance:price_api_latency_seconds:p95_5m >= 0")), what="records")
    wait_for(lambda: bool(scene.prometheus.ask("job:price_refreshes:increase2m > 0")), what="refreshes")
    if limits.STRICT:
        wait_for(lambda: not scene.prometheus.active(), what="silence of all alerts at once")
    loud = {rule["alert"] for rule in ALERTS} - (set() if limits.STRICT else ABOUT_SPEED)

    def all_were_silent() -> bool:
        loud.intersection_update(scene.prometheus.active())
        return not loud

    try:
        wait_for(all_were_silent)
    except AssertionError:
        assert loud == set()  # lists in the failure those that were never silent
    wait_for(lambda: {one["value"][1] for one in scene.prometheus.ask("up")} == {"1"}, what="a scrape in time")

    def roles() -> dict[str, str]:
        return {one["metric"]["role"]: one["value"][1] for one in scene.prometheus.ask("price_processes")}

    wait_for(lambda: roles() == {"api": "2", "refresher": "1"}, what="three processes")


def test_every_query_of_every_panel_shows_data(scene: Scene) -> None:
    """With one exchange failing, so that errors exist, every panel's query and every variable has data."""
    scene.market.exchanges["exchange3"].faults(error_rate=1)
    # For the other boards see test_watched_trades.py, test_watched_signals.py and test_sql_board.py.
    targets = [target for target in TARGETS if target.board not in ("trades.json", "signals.json")]
    wait_for_data(targets, lambda target: has_names(scene, target))
    for name, board in BOARDS.items():
        for variable in board["templating"]["list"] if name != "sql.json" else ():
            metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])[0]
            assert scene.prometheus.values_of(label, metric), variable["name"]


def test_dashboards_of_the_system_before_show_data(scene: Scene) -> None:
    """With one exchange failing, each metric of the previous system's dashboards has its labels and a value."""
    waiting = set(EXPECTED)

    def all_there() -> bool:
        for name in list(waiting):
            series = scene.prometheus.ask(as_dashboards_ask(name, EXPECTED[name]))
            if any(EXPECTED[name] <= one["metric"].keys() for one in series):
                waiting.discard(name)
        return not waiting

    wait_for(all_there, what=f"{waiting}")


def test_every_alert_fires_in_its_fault(scene: Scene) -> None:
    """Each fault, one after the other, makes its alerts fire, and on a machine with nothing else to do no others."""
    fired: set[str] = set()

    def fire(*names: str) -> None:
        def all_fire() -> bool:
            firing = scene.prometheus.firing()
            fired.update(firing)
            return set(firing).issuperset(names)

        wait_for(all_fire, what=f"{names}")

    def assert_quiet(*names: str) -> None:
        """Check that these have not fired. Here minutes are seconds: on a busy machine a scrape is truly late."""
        assert not limits.STRICT or not fired & set(names)

    scene.lie()
    fire("ExchangeRejected")
    scene.agree()
    scene.market.exchanges["exchange2"].faults(error_rate=1)  # exchange3 fails already
    fire("SingleSource")
    scene.market.exchanges["exchange2"].faults()
    scene.dynamodb.faults(refuse_for_good=REFUSED)
    fire("DeadLetters")
    scene.dynamodb.faults(error_rate=1)
    fire("OutboxGrowing", "OutboxFull")
    assert_quiet("NoRefresh", "RedisAway", "InstanceDown")
    scene.fill_the_disk()  # from here on no price is published, because history could not store it
    fire("HistoryLost", "StoreFailing")
    assert_quiet("RedisAway", "InstanceDown")
    scene.stop_exchanges()
    fire("ExchangeOpen", "PushFallenBack", "NoRefresh", "HotTierStale")
    assert_quiet("RedisAway", "InstanceDown")
    scene.stop_stores()
    fire("RedisAway", "ApiErrors", "ApiSlow")
    (annotation,) = BOARDS["overview.json"]["annotations"]["list"]
    assert scene.prometheus.ask(annotation["expr"])
    scene.service.process.stop()
    fire("InstanceDown")
    assert fired == {rule["alert"] for rule in ALERTS} - TRADE_ALERTS - SIGNAL_ALERTS
