"""The service as a real process, called over HTTP."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.parts.commands import run_command
from tests.parts.process import ROOT, Process

CALL_SECONDS = 30.0  # time limit for an answer on a loaded machine; longer than any that the service promises


class Answer:
    """One HTTP response: status, headers (by lower-case name) and body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        """The decoded body; fractions are Decimals with all their digits."""
        return json.loads(self.body, parse_float=Decimal)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def call(method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
    """Make one HTTP call; an error status is returned like any other."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}), data=body)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def environment_of(folder: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """Return the environment of a process with these settings, by field name; its files are in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    files = ("outbox_path", "trades_outbox_path", "dead_letters_path", "outlets_path", "archive_path")
    defaults: dict[str, object] = {name: folder / f"{name.removesuffix('_path')}.db" for name in files}
    defaults |= {f"{name}_url": f"sqlite:///{folder}/{name}.db" for name in ("trades", "events")}
    defaults |= {"state_dir": folder / "state", "data_dir": folder}
    defaults |= {"port": 0, "symbols_file": ROOT / "symbols.csv", "history_url": f"sqlite:///{folder}/prices.db"}
    return environment | {
        f"AGGREGATOR_{name.upper()}": str(value) for name, value in (defaults | dict(settings)).items()
    }


class Service:
    """`aggregator serve` (or `demo`) on its own port; settings are given by field name."""

    def __init__(self, folder: Path, /, *command: str, **settings: object) -> None:
        environment = environment_of(folder, settings)
        self.process = Process.of_program("aggregator", *(command or ("serve",)), environment=environment)
        self.url = ""

    def started(self) -> "Service":
        """Wait until the service listens."""
        self.url = self.process.wait_for_line(r"listening.*(http://127\.0\.0\.1:\d+)")[1]
        return self

    def filled(self) -> "Service":
        """Wait until every tier has been refreshed once."""
        self.started()
        self.process.wait_for_line("tier_filled.*tier=cold")
        return self

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path."""
        return call("GET", self.url + path, headers)

    def post(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """POST an empty body to a path."""
        return call("POST", self.url + path, headers)

    def metric(self, name: str) -> float:
        """Return the value of one series, named as in the text format; 0 while it does not exist."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0


def refusal(folder: Path, code: int = 1, **settings: object) -> str:
    """Start with settings that cannot work; return the one line of error output."""
    done = run_command("serve", environment=environment_of(folder, settings))
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    lines = output.splitlines()
    assert len(lines) == 1, lines
    return lines[0]
