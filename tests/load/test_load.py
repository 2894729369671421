"""`./test.sh load` as users run it, scaled down: a locust process against a real service.

Durations mean nothing here, because other tests share the machine; the time thresholds are far above or below them.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process
from tests.parts.service import Service

pytestmark = pytest.mark.real

PATIENT = ("--p95-ms", "60000", "--p99-ms", "60000")
SMALL = ("--scale", "0.01", *PATIENT)
BRIEF = ("--load", "mixed", "--mixed-users", "40", "--mixed-seconds", "3", *PATIENT)
REQUESTS = {"hot": 10 * 10, "medium": 5 * 10, "cold": 2 * 5}  # scale of the load: a hundredth


class Constant(BaseHTTPRequestHandler):
    """A server that lists assets and answers the same price to every request below /prices."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the method name that http.server calls
        """Answer the request."""
        assets = [{"symbol": f"{tier}usdt", "tier": tier} for tier in REQUESTS]
        known = {"/assets": {"assets": assets}}
        body = json.dumps(known.get(self.path, {"asset": "hotusdt", "price": 1})).encode()
        self.send_response(200 if self.path.startswith(("/assets", "/prices")) else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def constant() -> Iterator[str]:
    """Run the constant server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Constant)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service until all assets have a price."""
    shared_market.sound()
    running = Service(tmp_path_factory.mktemp("service"), exchanges=shared_market.setting).filled()
    yield running
    assert running.process.stop() == 0, running.process.output


def load(url: str, *words: str) -> tuple[int, str]:
    """Run locust to its end; return the exit code and the output."""
    # The developer's own environment and locust.conf must not affect the test.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST")}
    command = [sys.executable, "-m", "locust", "-f", "tests/load/locustfile.py", "--headless", "--only-summary"]
    process = Process([*command, "-H", url, *words], cwd=ROOT, environment=environment)
    return process.ended(300), process.output


def test_the_three_groups(service: Service, tmp_path: Path) -> None:
    """Each group makes its number of calls, every answer is right, all thresholds hold, and a file has the figures."""
    code, output = load(service.url, *SMALL, "--min-rate", "1", "--figures", str(tmp_path / "figures.json"))
    assert code == 0, output
    assert output.count(", held\n") == 7, output
    rows = json.loads((tmp_path / "figures.json").read_text())
    counted = {name: rows[f"GET /prices/{{{name}}}"]["requests"] for name in REQUESTS}
    assert counted == REQUESTS
    assert rows["total"]["requests"] == sum(REQUESTS.values())
    assert all(row["failures"] == 0 and 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in rows.values())


def test_the_mixture(service: Service, tmp_path: Path) -> None:
    """In the mixed load, lists, sources, history and the 404 of an unknown symbol are right answers."""
    code, output = load(service.url, *BRIEF, "--figures", str(tmp_path / "figures.json"))
    assert code == 0, output
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert {"GET /prices?assets={20..200}", "GET /prices?tier=hot", "GET /prices/{hot}/sources"} < set(rows)


def test_a_threshold_out_of_reach(service: Service) -> None:
    """A threshold that cannot be met is exit code 1, and its line says so."""
    code, output = load(service.url, *SMALL, "--p99-ms", "0.0001")
    assert code == 1, output
    assert output.count("MISSED") == 1
    assert "load: p99 < 0.0001 ms: " in output


def test_wrong_answers_are_failures(constant: str) -> None:
    """A server with constant answers fails, although every status is 200."""
    code, output = load(constant, *SMALL)
    assert code == 1, output
    assert "60 of 160), MISSED" in output  # the constant server's price is right for the hot asset only


def test_bodies_need_not_be_checked(constant: str) -> None:
    """With checks off, a stand-in needs only the list of assets; the output says that it has no cache counters."""
    code, output = load(constant, *SMALL, "--no-check-bodies")
    assert code == 0, output
    assert "/metrics tells nothing of the cache, not measured" in output


def test_nobody_there() -> None:
    """Without a server: one line and exit code 1."""
    code, output = load(f"http://127.0.0.1:{free_port()}", *SMALL)
    assert code == 1
    assert "/assets does not tell the assets" in output.splitlines()[-1]
    assert "Traceback" not in output
