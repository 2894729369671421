"""The log on stderr: one line per event, with the request id, without secrets, and not too many lines."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.parts import redis_server
from tests.parts.exchanges import Market
from tests.parts.process import ROOT, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import COLD, HOT, INTERVALS, SIZES, SYMBOLS

pytestmark = pytest.mark.real

PASSWORD, KEY = "opensesame", "letmein"
GIVEN = {"X-Request-ID": "order-4711/a"}
_CONSOLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \[(debug|info|warning|error)\s*\] \S.*")


def start(folder: Path, symbols_file: Path, market: Market, **settings: object) -> Service:
    """Start a service on a few assets."""
    usual: dict[str, object] = {"symbols_file": symbols_file, "exchanges": market.setting, "exchange_timeout": 0.5}
    return Service(folder, **(usual | SIZES | INTERVALS | settings))


def lines(service: Service) -> list[dict[str, Any]]:
    """Return the log's lines, each of which must be JSON."""
    return [json.loads(line) for line in service.process.output.splitlines()]


def test_every_line_is_json(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """Our lines and the libraries' have level, UTC time and event; lines of one request share its id."""
    service = start(tmp_path, symbols_file, market, log_format="json", log_level="debug")
    service.url = service.process.wait_for_line(r'"address": ?"(http://127\.0\.0\.1:\d+)"')[1]
    wait_for(lambda: service.get(f"/prices/{COLD[-1]}").status == 200)
    refreshed = service.post(f"/refresh/{HOT[0]}", GIVEN)
    assert refreshed.headers["x-request-id"] == GIVEN["X-Request-ID"]
    assert service.get("/nosuch%0apath%1b[31m", GIVEN).status == 404
    for exchange in market.exchanges.values():
        exchange.faults(error_rate=1)
    wait_for(lambda: "breaker_open" in service.process.output)
    assert service.process.stop() == 0
    said = lines(service)
    assert all({"level", "timestamp", "event"} <= line.keys() for line in said)
    assert all(line["timestamp"].endswith("Z") for line in said)
    ours = [line for line in said if line.get("request_id") == GIVEN["X-Request-ID"]]
    assert [(line["event"], line["path"], line["status"]) for line in ours] == [
        ("request", f"/refresh/{HOT[0]}", refreshed.status),
        ("request", "/nosuch%0apath%1b[31m", 404),
    ]
    assert not any("request_id" in line for line in said if line["event"] == "breaker_open")


def test_console_is_one_line_per_event(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """In console format, too, each event is one line, whatever a caller or an exchange sends."""
    service = start(tmp_path, symbols_file, market, log_level="debug").filled()
    assert service.get("/%0a2026-01-01T00:00:00Z%20[error]%20forged").status == 404
    assert service.process.stop() == 0
    for line in service.process.output.splitlines():
        assert _CONSOLE.fullmatch(line), line


def test_what_would_break_a_line_is_escaped() -> None:
    """Line breaks and control characters are escaped, in our lines and the libraries'; other characters stay."""
    program = """
import logging
from aggregator.observability.logs import configure
import structlog
configure("console", "info")
structlog.get_logger().info("ours\\nforged", price="5 €", text="a\\r\\x1b[2Jb")
structlog.get_logger().debug("not wanted")
logging.getLogger("library").warning("theirs\\nforged")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    ours, theirs = done.stderr.splitlines()
    assert "ours\\nforged" in ours
    assert "price=5 €" in ours.replace("'", "")
    assert "a\\r\\x1b[2Jb" in ours
    assert "theirs\\nforged" in theirs


def test_lines_of_one_process_of_several() -> None:
    """With several processes, each line has the process' id and role."""
    program = """
import logging
from aggregator.observability.logs import configure
import structlog
configure("json", "info", "refresher")
structlog.get_logger().info("ours")
logging.getLogger("library").warning("theirs")
"""
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    said = [json.loads(line) for line in child.communicate()[1].splitlines()]
    assert [(line["event"], line["pid"], line["role"]) for line in said] == [
        ("ours", child.pid, "refresher"),
        ("theirs", child.pid, "refresher"),
    ]


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ("a", True),
        ("7b0f4e9c-9d43-4a1e-8a35-0d6d0c1f6f52", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ("<script>", False),
        ("forged[31m", False),
        ('"}', False),
    ],
)
def test_a_request_s_id(quiet: Service, sent: str, taken: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """The request id is the caller's if it is short and harmless, else a generated one; every response has it."""
    for path, status in (
        (f"/prices?assets={HOT[0]}", 200),
        ("/prices/no.such", 400),
        ("/nosuch", 404),
        ("/health", 200),
    ):
        answer = quiet.get(path, {"X-Request-ID": sent})
        assert answer.status == status
        if taken:
            assert answer.headers["x-request-id"] == sent
        else:
            assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, symbols_file: Path, shared_market: Market) -> Any:
    """Run a service with the default settings."""
    shared_market.sound()
    service = start(tmp_path_factory.mktemp("quiet"), symbols_file, shared_market).filled()
    yield service
    assert service.process.stop() == 0


def test_ids_differ(quiet: Service) -> None:
    """No two requests get the same generated id."""
    assert len({quiet.get("/health").headers["x-request-id"] for _ in range(20)}) == 20


def test_no_line_per_price_or_request(quiet: Service) -> None:
    """At the default level, hundreds of prices and requests add no line to the log."""
    before = quiet.process.output
    writes = quiet.metric('price_store_written_total{store="history"}')
    for _ in range(50):
        assert quiet.get(f"/prices?assets={','.join(SYMBOLS)}").status == 200
    wait_for(lambda: quiet.metric('price_store_written_total{store="history"}') >= writes + 30)
    after = quiet.process.output
    # A busy machine may cost a line on an exchange that did not answer in time.
    assert len(after.splitlines()) < len(before.splitlines()) + 5
    assert not any(symbol in after for symbol in SYMBOLS)


def test_no_secrets(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """Neither Redis' password nor an API key, valid or not, is logged at any level, whatever fails."""
    with redis_server.alone() as free:
        port = free.port
    server = RedisServer(port, "--requirepass", PASSWORD)
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    service = start(tmp_path, symbols_file, market, cache_url=url, api_keys=KEY, log_level="debug").filled()
    allowed_in = service.post(f"/refresh/{HOT[0]}", {"Authorization": f"Bearer {KEY}"})
    assert allowed_in.status in (200, 502)  # 502 where no exchange answers within half a second
    assert service.post(f"/refresh/{HOT[0]}", {"X-API-Key": "wrong-" + KEY}).status == 403
    assert service.post(f"/refresh/{HOT[0]}?key={KEY}").status == 401
    server.process.stop(signal.SIGKILL)
    service.process.wait_for_line("store_failing|feed_lost")
    server = RedisServer(port, "--requirepass", "another")
    wait_for(lambda: service.get("/ready").json["stores"]["cache"] != "ok")
    assert PASSWORD not in service.get("/ready").text
    assert service.process.stop() == 0
    server.stop()
    assert service.process.output.count("request ") >= 3
    for secret in (PASSWORD, KEY):
        assert secret not in service.process.output
    failed = Service(tmp_path, cache_url=url, api_keys=KEY)
    assert failed.process.ended() == 1
    assert PASSWORD not in failed.process.output
