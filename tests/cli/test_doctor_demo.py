"""`aggregator doctor` in the folder of a running demo."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aggregator.cli.doctor.demo import settings_of_demo
from aggregator.settings.loader import load


class Ready(BaseHTTPRequestHandler):
    """Answers as GET /ready of a service whose market is invented, or is not."""

    invented = True

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(503 if self.path == "/ready" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": False, "invented_market": self.invented}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
        """Write no log."""


@pytest.fixture
def port() -> Iterator[int]:
    """Serve /ready on a free port."""
    server = HTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_settings_of_a_running_demo_are_checked(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are those in the demo's folder, unless a folder is given; what is given stays."""
    monkeypatch.chdir(tmp_path)
    flags = {"port": str(port), "retention_days": "3"}
    assert settings_of_demo(load(flags)) == {}  # no demo has run here
    (tmp_path / "data").mkdir()
    found = settings_of_demo(load(flags))
    assert (found["data_dir"], "retention_days" in found) == ("data", False)
    assert load({**found, **flags}).history_url == "sqlite:///data/prices.db"
    assert settings_of_demo(load(flags | {"data_dir": "elsewhere"})) == {}
    monkeypatch.setattr(Ready, "invented", False)
    assert settings_of_demo(load(flags)) == {}


def test_without_a_service_the_settings_are_those_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of an earlier demo alone changes nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert settings_of_demo(load({"port": "1"})) == {}
