"""`./test.sh load` as its users run it, in small: a locust process against a real service.

What is slow here says nothing, as other tests share the machine: the thresholds on time are out of reach either way.
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
REQUESTS = {"hot": 10 * 10, "medium": 5 * 10, "cold": 2 * 5}  # of a hundredth


class Constant(BaseHTTPRequestHandler):
    """Answers /assets, and the same price to whatever else is asked below /prices."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the name http.server looks for
        """Answer."""
        assets = [{"symbol": f"{tier}usdt", "tier": tier} for tier in REQUESTS]
        known = {"/assets": {"assets": assets}}
        body = json.dumps(known.get(self.path, {"asset": "hotusdt", "price": 1})).encode()
        self.send_response(200 if self.path.startswith(("/assets", "/prices")) else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def constant() -> Iterator[str]:
    """Run a stand-in server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Constant)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with all its prices."""
    shared_market.sound()
    running = Service(tmp_path_factory.mktemp("service"), exchanges=shared_market.setting).filled()
    yield running
    assert running.process.stop() == 0, running.process.output


def load(url: str, *words: str) -> tuple[int, str]:
    """Run locust to its end; return its exit code and what it said."""
    # What a developer's own environment or locust.conf sets must not change what is tested.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST")}
    command = [sys.executable, "-m", "locust", "-f", "tests/load/locustfile.py", "--headless", "--only-summary"]
    process = Process([*command, "-H", url, *words], cwd=ROOT, environment=environment)
    return process.ended(60), process.output


def test_the_three_groups(service: Service, tmp_path: Path) -> None:
    """Each user asks as often as it is to, every answer is right, all thresholds hold, and a file has the figures."""
    code, output = load(service.url, *SMALL, "--min-rate", "1", "--figures", str(tmp_path / "figures.json"))
    assert code == 0, output
    assert output.count(", held\n") == 7, output
    rows = json.loads((tmp_path / "figures.json").read_text())
    counted = {name: rows[f"GET /prices/{{{name}}}"]["requests"] for name in REQUESTS}
    assert counted == REQUESTS
    assert rows["total"]["requests"] == sum(REQUESTS.values())
    assert all(row["failures"] == 0 and 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in rows.values())


def test_the_mixture(service: Service, tmp_path: Path) -> None:
    """Lists, sources, history and the 404 of an unknown symbol are right answers, too."""
    code, output = load(service.url, *BRIEF, "--figures", str(tmp_path / "figures.json"))
    assert code == 0, output
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert {"GET /prices?assets={20..200}", "GET /prices?tier=hot", "GET /prices/{hot}/sources"} < set(rows)


def test_a_threshold_out_of_reach(service: Service) -> None:
    """Exit code 1, and the one line says so."""
    code, output = load(service.url, *SMALL, "--p99-ms", "0.0001")
    assert code == 1, output
    assert output.count("MISSED") == 1
    assert "load: p99 < 0.0001 ms: " in output


def test_wrong_answers_are_failures(constant: str) -> None:
    """A server that always says the same is found out, though every status is 200."""
    code, output = load(constant, *SMALL)
    assert code == 1, output
    assert "60 of 160), MISSED" in output  # only the hot tier's asset is the one it speaks of


def test_bodies_need_not_be_checked(constant: str) -> None:
    """For a stand-in with the list of assets and nothing else; that it counts no cache is said."""
    code, output = load(constant, *SMALL, "--no-check-bodies")
    assert code == 0, output
    assert "/metrics tells nothing of the cache, not measured" in output


def test_nobody_there() -> None:
    """One line, and exit code 1."""
    code, output = load(f"http://127.0.0.1:{free_port()}", *SMALL)
    assert code == 1
    assert "/assets does not tell the assets" in output.splitlines()[-1]
    assert "Traceback" not in output
