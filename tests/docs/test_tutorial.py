"""docs/tutorial.md, followed word for word: its commands in one shell, beside the demo that its first step starts.

The indented commands of all documents that need nothing but the demo run beside it, too.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.indented import commands
from tests.docs.test_examples import shape
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process
from tests.parts.service import environment_of

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here"),
]

TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
START = re.findall(r"^    (AGGREGATOR_.*\./run\.sh)$", TUTORIAL, re.MULTILINE)
SECONDS = 240  # a time limit, not a promise
MARK = "--- next block ---"


class Demo:
    """The demo of the first step, on free ports, in a folder that looks like the top of a clone."""

    def __init__(self, folder: Path, port: int) -> None:
        (folder / ".venv").mkdir()
        (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
        (folder / "run.sh").write_text('exec .venv/bin/aggregator demo --port 0 --mock-port 0 "$@"\n', encoding="utf-8")
        (folder / "run.sh").chmod(0o755)
        keep = {"AGGREGATOR_SYMBOLS_FILE": str(ROOT / "symbols.csv")}
        settings = environment_of(folder, {})
        self.environment = {name: text for name, text in settings.items() if not name.startswith("AGGREGATOR_")} | keep
        self.folder = folder
        (start,) = START
        command = start.replace("127.0.0.1:9000", f"127.0.0.1:{port}").replace("./run.sh", "exec bash ./run.sh")
        self.process = Process(["bash", "-c", command], environment=self.environment, cwd=folder)
        exchange = self.process.wait_for_line(r"mock_exchange.*http://(127\.0\.0\.1:\d+) name=exchange1")[1]
        service = self.process.wait_for_line(r"listening.*http://(127\.0\.0\.1:\d+)")[1]
        receiver = f'("127.0.0.1", {port})'
        self.addresses = {"localhost:8080": service, "localhost:8081": exchange, '("127.0.0.1", 9000)': receiver}
        self.process.wait_for_line("tier_filled.*tier=cold")

    def run(self, script: str) -> Process:
        """Start a script of bash in the folder, with the addresses of this demo in it."""
        for written, here in self.addresses.items():
            script = script.replace(written, here)
        command = ["bash", "-c", f"set -euo pipefail\n{script}"]
        return Process(command, cwd=self.folder, environment=self.environment)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the demo as the first step does; at the end it stops in order."""
    running = Demo(tmp_path_factory.mktemp("clone"), free_port())
    yield running
    assert running.process.stop() == 0, running.process.output


@pytest.fixture(scope="module")
def outputs(demo: Demo) -> dict[str, list[str]]:
    """Run every block; return the lines of each one's output, by its text."""
    blocks = [text for language, text in BLOCKS if language == "sh"]
    script = f"echo '{MARK}'\n".join(blocks)
    assert all(written in script for written in demo.addresses)
    shell = demo.run(script)
    code = shell.ended(SECONDS)
    assert code == 0, shell.output + demo.process.output
    parts = shell.output.split(f"{MARK}\n")
    return {command: lines.splitlines() for command, lines in zip(blocks, parts, strict=True)}


def part(outputs: dict[str, list[str]], word: str) -> list[str]:
    """Return the output of the only block with a word in it."""
    (found,) = [lines for command, lines in outputs.items() if word in command]
    return found


def test_the_price_is_as_shown(outputs: dict[str, list[str]]) -> None:
    """The answer has the structure of the one in the document."""
    (shown,) = [text for language, text in BLOCKS if language == "json"]
    (line,) = part(outputs, "curl -sS localhost:8080/prices/btcusdt\n")
    assert shape(json.loads(line)) == shape(json.loads(shown))


def test_the_liar_is_left_out(outputs: dict[str, list[str]]) -> None:
    """/sources names it, with the reason that the document gives."""
    found = json.loads("\n".join(part(outputs, "json.tool")))
    assert [(one["exchange"], one["reason"]) for one in found["left_out"]] == [("exchange1", "outlier")]


def test_trades_are_taken_and_counted_in_sql(outputs: dict[str, list[str]]) -> None:
    """All three are durable, and SQL finds them under their venue."""
    (answer,) = part(outputs, "/ingest")
    assert json.loads(answer)["accepted"] == 3
    (row,) = [line for line in part(outputs, "SELECT") if "mine" in line]
    assert re.search(r"\b3\b", row), row


def test_the_alert_reaches_the_webhook(outputs: dict[str, list[str]]) -> None:
    """The receiver gets the alert of the rule, and the service lists it."""
    (event,) = json.loads("\n".join(part(outputs, "cat alert.json")))
    assert (event["topic"], event["asset"], event["event"]["kind"]) == ("alerts", "btcusdt", "spread")
    (answer,) = part(outputs, "/alerts/fired")
    assert event["event"]["id"] in answer


def test_the_stream_sends_prices(outputs: dict[str, list[str]]) -> None:
    """At least the snapshot."""
    assert any("btcusdt" in line for line in part(outputs, "/stream"))


RUN = [one for one in commands() if one.is_run]


@pytest.mark.parametrize("document", sorted({one.document for one in RUN}))
def test_the_indented_commands_run(demo: Demo, outputs: dict[str, list[str]], document: str) -> None:
    """Those of a document succeed one after the other, and curl gets no error status."""
    assert outputs  # the tutorial comes first: it expects exchanges without faults
    script = "\n".join(one.text for one in RUN if one.document == document)
    shell = demo.run(f'curl() {{ command curl --silent --show-error --fail "$@"; }}\nset -x\n{script}')
    assert shell.ended(SECONDS) == 0, shell.output
