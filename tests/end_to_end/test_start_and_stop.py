"""The life of a process: exit 0 on SIGTERM, recovery from outages, non-zero after a crash, and the demo."""

import os
import re
import socket
import sqlite3
import sys
import threading
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.process import ROOT, Process, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, call

pytestmark = pytest.mark.real

STOP_SECONDS = allowed(5.0)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_told_to_stop_it_ends_well(tmp_path: Path, market: Market, number: Signals) -> None:
    """SIGTERM: exit 0 in time, the last batch is written or not, and the SQLite file is intact."""
    service = Service(tmp_path, exchanges=market.setting).filled()
    service.process.signal(number)
    assert service.process.ended(STOP_SECONDS) == 0
    assert "stopped" in service.process.output
    assert "Traceback" not in service.process.output
    database = sqlite3.connect(tmp_path / "prices.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT count(*) FROM prices").fetchone()[0] >= 1000
    database.close()
    assert not (tmp_path / "prices.db-wal").exists()


def test_told_to_stop_during_the_fill(tmp_path: Path, market: Market) -> None:
    """SIGTERM at any moment of the warm-up, even with hanging exchanges: exit 0 in time."""
    for exchange in market.exchanges.values():
        exchange.faults(hang_rate=1)
    service = Service(tmp_path, exchanges=market.setting).started()
    service.process.signal(SIGTERM)
    assert service.process.ended(STOP_SECONDS) == 0, service.process.output


def test_requests_in_flight_are_finished(tmp_path: Path, market: Market) -> None:
    """A refresh under way at SIGTERM is still answered with its price."""
    service = Service(tmp_path, exchanges=market.setting).filled()
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=700)
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(service.post("/refresh/btcusdt").status))
    series = 'price_exchange_requests_total{exchange="exchange1"}'
    before = service.metric(series)
    asking.start()
    wait_for(lambda: service.metric(series) > before)
    service.process.signal(SIGTERM)
    assert service.process.ended(STOP_SECONDS) == 0, service.process.output
    asking.join()
    assert statuses == [200]


def test_a_crash_in_the_refresher_ends_the_process(tmp_path: Path, market: Market) -> None:
    """A crash in the refresher ends the process, non-zero and with the reason in the log.

    A sitecustomize module on the path plants the bug, because a correct service has none.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import aggregator.prices.pricing as pricing, aggregator.prices.price_maker as price_maker\n"
        "def crash(asset, *rest):\n"
        "    if asset.symbol == 'ethusdt': raise ZeroDivisionError('planted')\n"
        "    return pricing.aggregate(asset, *rest)\n"
        "price_maker.aggregate = crash\n"
    )
    environment = os.environ | {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "AGGREGATOR_PORT": "0",
        "AGGREGATOR_EXCHANGES": market.setting,
        "AGGREGATOR_HISTORY_URL": f"sqlite:///{tmp_path}/prices.db",
        "AGGREGATOR_TRADES_URL": f"sqlite:///{tmp_path}/trades.db",
        "AGGREGATOR_EVENTS_URL": f"sqlite:///{tmp_path}/events.db",
        "AGGREGATOR_DEAD_LETTERS_PATH": f"{tmp_path}/dead-letters.db",
    }
    process = Process([sys.executable, "-m", "aggregator", "serve"], environment=environment)
    assert process.ended() == 1, process.output
    assert "crashed" in process.output
    assert "planted" in process.output


def test_redis_and_dynamodb_going_away_and_coming_back(
    tmp_path: Path, market: Market, dynamodb_running: DynamoServer, redis_running: RedisServer
) -> None:
    """With Redis killed, prices are refreshed and served, /ready names Redis, and all recovers by itself."""
    assert redis_running
    redis = RedisServer()
    url = dynamodb_running.url(f"prices-{os.getpid()}-{redis.port}")
    service = Service(tmp_path, exchanges=market.setting, cache_url=redis.url, history_url=url, hot_interval=1).filled()
    wait_for(lambda: service.get("/ready").status == 200)
    redis.process.signal(SIGKILL)
    redis.process.ended()

    def is_fresh() -> bool:
        answer = service.get("/prices/btcusdt")
        return answer.status == 200 and not answer.json["stale"]

    def redis_is_named() -> bool:
        """Return whether /ready is 200, because reads are served, and names Redis."""
        ready = service.get("/ready")
        stores, reasons = ready.json["stores"], ready.json["reasons"]
        named = "Redis" in stores["cache"] and any("Redis" in one for one in reasons)
        return ready.status == 200 and named and stores["history"] == "ok"

    wait_for(is_fresh, allowed(5), "a fresh price")
    wait_for(redis_is_named, allowed(5), "/ready to name Redis")
    assert service.post("/refresh/btcusdt").status == 200
    redis = RedisServer(redis.port)
    wait_for(lambda: service.get("/ready").json["reasons"] == [])
    assert service.process.stop() == 0, service.process.output
    redis.stop()


def test_all_exchanges_down_is_told_honestly(tmp_path: Path, market: Market) -> None:
    """With all exchanges down: 503 with Retry-After without a price, 502 on refresh with each reason, never a zero."""
    for exchange in market.exchanges.values():
        exchange.faults(error_rate=1)
    service = Service(tmp_path, exchanges=market.setting).started()
    answer = service.get("/prices/btcusdt")
    assert (answer.status, answer.json) == (503, {"msg": "No price known now", "code": "no_price"})
    assert answer.headers["retry-after"] == "1"
    answer = service.post("/refresh/btcusdt")
    assert answer.status == 502
    assert answer.json["msg"] == "No exchange gave a price for btcusdt"
    assert {one["exchange"] for one in answer.json["left_out"]} == set(market.exchanges)
    missing = service.get("/prices?assets=btcusdt").json
    assert missing == {"prices": [], "missing": [{"asset": "btcusdt", "reason": "No price known now"}]}
    assert service.get("/ready").status == 503
    assert service.get("/health").status == 200
    assert service.process.stop() == 0


def test_prices_are_back_after_a_restart(tmp_path: Path, market: Market) -> None:
    """After a restart with all exchanges down, prices from history are served."""
    rare = {"hot_interval": 600, "medium_interval": 600, "cold_interval": 600}  # no refresh after the read
    service = Service(tmp_path, exchanges=market.setting, **rare).filled()
    known = service.get("/prices/ethbtc").json
    assert service.process.stop() == 0
    for exchange in market.exchanges.values():
        exchange.faults(error_rate=1)
    service = Service(tmp_path, exchanges=market.setting, **rare).started()
    assert service.get("/prices/ethbtc").json["price"] == known["price"]
    assert service.process.stop() == 0


def test_the_demo_brings_its_own_exchanges(tmp_path: Path) -> None:
    """One command starts the demo with its own exchanges, which end with it, even after SIGKILL."""
    for number, code in ((SIGINT, 0), (SIGKILL, -SIGKILL)):
        demo = Service(tmp_path, "demo", "--mock-port", "0").filled()
        exchanges = re.findall(r"mock_exchange.*?(http://127\.0\.0\.1:\d+)", demo.process.output)
        assert len(exchanges) == 3
        wait_for(lambda demo=demo: demo.get("/prices/btcusdt").json["sources"] == 3, what="three sources")  # type: ignore[misc]
        assert re.search(r"invented_market.*curl -sS localhost:PORT/aggregations/btcusdt", demo.process.output)
        planted = re.search(r"planted=.*?(http://\S+/mock/plants)", demo.process.output)
        assert planted
        assert call("GET", planted[1]).json["plants"]
        for address in exchanges:
            wait_for(partial(_makes_trades, address), what=f"{address} to make trades")
        demo.process.signal(number)
        assert demo.process.ended(STOP_SECONDS) == code
        for address in exchanges:
            wait_for(lambda address=address: _gone(address), what=f"{address} to end")  # type: ignore[misc]


def _makes_trades(address: str) -> bool:
    return bool(call("GET", f"{address}/mock/trades?symbols=btcusdt").json["trades"])


def test_the_demo_tells_when_a_port_of_an_exchange_is_taken(tmp_path: Path) -> None:
    """An occupied port of a demo exchange is one line, as for the service's own port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port <= 65533, "the kernel picks ephemeral ports below"
        demo = Service(tmp_path, "demo", "--mock-port", str(port))
        assert demo.process.ended() == 1
    (line,) = demo.process.output.splitlines()
    assert re.search(r"aggregator: exchange1 did not start: .*in use.*--mock-port", line)


def test_the_demo_tells_when_its_port_is_taken(tmp_path: Path) -> None:
    """It is one line, before any exchange starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = Service(tmp_path, "demo", "--mock-port", "0", port=port)
        assert demo.process.ended() == 1
    (line,) = demo.process.output.splitlines()
    assert re.search(rf"aggregator: cannot listen on .*:{port}: .*in use; choose another --port", line)


def test_the_demo_does_not_fight_with_itself_over_a_port(tmp_path: Path) -> None:
    """The demo's own port among its exchanges' ports is refused before anything starts."""
    demo = Service(tmp_path, "demo", "--mock-port", "18079", port=18081)
    assert demo.process.ended() == 1
    (line,) = demo.process.output.splitlines()
    assert "--mock-port 18079" in line


def test_the_demo_tells_of_a_bad_symbols_file_in_the_service_s_words(tmp_path: Path) -> None:
    """An invalid symbols file of the demo is reported in the service's words, with the demo's flag."""
    demo = Service(tmp_path, "demo", "--mock-port", "0", symbols_file=tmp_path / "nowhere.csv")
    assert demo.process.ended() == 1
    (line,) = demo.process.output.splitlines()
    assert "--symbols-file" in line


def test_exchanges_that_come_up_late_cost_no_interval(tmp_path: Path, market: Market) -> None:
    """Exchanges that answer only after the first fetch cost no interval: the warm-up retries until all have a price.

    They answer 429 first, because that keeps the breakers closed; an open one would cost 30 s.
    """
    for exchange in market.exchanges.values():
        exchange.faults(rate_limit=0)
    rare = {"hot_size": 2, "hot_interval": 600, "medium_interval": 600, "cold_interval": 600}
    file = tmp_path / "symbols.csv"
    file.write_text("symbol\nbtcusdt\nethusdt\nsolusdt\nxrpusdt\n")
    service = Service(tmp_path, exchanges=market.setting, symbols_file=file, medium_size=1, **rare).filled()
    assert re.search("warning.*tier_filled.*priced=0.*tier=cold", service.process.output)
    assert service.get("/ready").json["reasons"][0] == "hot tier: 2 of 2 assets have no price yet"
    market.sound()
    wait_for(lambda: service.get("/ready").json["reasons"] == [], allowed(60), "every tier priced")
    assert service.process.stop() == 0


def test_a_crash_shows_no_secret(tmp_path: Path, market: Market) -> None:
    """A traceback in the log has no local variables, so it cannot show a password."""
    planted = tmp_path / "sitecustomize.py"
    planted.write_text("import aggregator.runtime.parts.build_refresher as refreshing\nrefreshing.warm_up_bar = None\n")
    environment = os.environ | {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "AGGREGATOR_PORT": "0",
        "AGGREGATOR_EXCHANGES": market.setting,
        "AGGREGATOR_HISTORY_URL": f"sqlite:///{tmp_path}/prices.db",
        "AGGREGATOR_API_KEYS": "hunter2",
    }
    process = Process([sys.executable, "-m", "aggregator", "serve"], environment=environment)
    assert process.ended() == 1
    assert "Traceback" in process.output
    assert "hunter2" not in process.output


def _gone(address: str) -> bool:
    try:
        call("GET", f"{address}/health")
    except OSError:
        return True
    return False
