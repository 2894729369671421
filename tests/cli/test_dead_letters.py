"""`aggregator dead-letters` on what was sent as a trade and is none, and on trades that DynamoDB refused."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from aggregator.cli.main import main
from aggregator.stores.dead_letter_file import DeadLetterFile, FailedRecord
from aggregator.stores.trades.waiting_trades import WaitingTrades
from tests.parts.examples import NOW
from tests.stores.trades.parts import trade


class Ingest(BaseHTTPRequestHandler):
    """A stand-in for POST /ingest: it takes a record with a price, and one that is protobuf."""

    seen: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        """Answer as the service does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.headers["Content-Type"], self.headers["Authorization"], body))
        rejected = [] if b"price" in body or b"\xff" in body else [{"index": 0, "reason": "the record has no price"}]
        status = 403 if self.headers["Authorization"] == "Bearer wrong" else 400 if rejected else 200
        answer = {"msg": "not taken", "accepted": int(status == 200), "duplicates": 0, "rejected": rejected}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[HTTPServer]:
    """Serve the stand-in on a port of its own."""
    Ingest.seen = []
    with HTTPServer(("127.0.0.1", 0), Ingest) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create three rejected records, and a trade that DynamoDB refused."""

    async def make() -> None:
        file = DeadLetterFile(tmp_path / "dead-letters.db", 100)
        await file.open()
        for raw in (b'{"price":1}', b'{"id":2}', b"\n\x03btc\x11\xff"):
            await file.bury([FailedRecord("trade", "ingest", NOW, "asset", "not listed\x1b[2J", raw)])
        await file.close()
        outbox = WaitingTrades(tmp_path / "trades-outbox.db", 1 << 30)
        await outbox.open()
        await outbox.append([trade()])
        (row,) = await outbox.after(0, 10)
        await outbox.move_to_dead_letters(row, "ValidationException: no", NOW)
        await outbox.close()

    asyncio.run(make())
    return tmp_path


class Done(NamedTuple):
    """What the command has returned and printed."""

    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    """Runs the command with arguments and the API key of the environment."""

    def __call__(self, *arguments: str, key: str = "secret") -> Done:
        """Return what it did."""


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command on the files of trades in the folder."""
    files = {"outbox": "none.db", "trades-outbox": "trades-outbox.db", "dead-letters": "dead-letters.db"}
    paths = [f"--{name}-path={folder / file}" for name, file in files.items()]

    def run(*arguments: str, key: str = "secret") -> Done:
        monkeypatch.setenv("AGGREGATOR_API_KEY", key)
        return Done(main(["dead-letters", *arguments, *paths]), *capsys.readouterr())

    return run


def test_rejected_trades_are_listed_shown_and_sent_again(run: Run, service: HTTPServer) -> None:
    """What is a trade now goes to /ingest and is deleted; the rest stays, with the reason, and the exit code is 1."""
    listed = run("list", "--kind", "trades").stdout
    assert listed.splitlines()[-1] == "4 dead letters"
    assert "btcusdt  1760000000.0  refused" in listed
    assert "trade of ingest  rejected 2025-10-09 08:53:20 UTC  asset: not listed?[2J" in listed
    assert run("list").stdout == listed
    refused, good, bad, binary = (line.split()[0] for line in listed.splitlines()[:-1])
    assert '{"id":2}' in run("show", bad).stdout
    replayed = run("replay", "all", "--url", f"http://127.0.0.1:{service.server_port}")
    assert replayed.returncode == 1
    assert replayed.stdout.splitlines() == [
        f"{refused}  waits to be sent again",
        f"{good}  stored",
        f"{bad}  still fails: the record has no price",
        f"{binary}  stored",
    ]
    assert Ingest.seen == [
        ("application/json", "Bearer secret", b'{"price":1}'),
        ("application/json", "Bearer secret", b'{"id":2}'),
        ("application/x-protobuf", "Bearer secret", b"\n\x03btc\x11\xff"),
    ]
    assert run("delete", bad).returncode == 0
    assert run("list").stdout == "0 dead letters\n"


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("http://127.0.0.1:{port}", "wrong", "answered 403: not taken"),
        ("http://127.0.0.1:1", "", "cannot be reached"),
        ("ftp://127.0.0.1", "", "is not the address of a service; name it as in http://"),
        ("http://127.0.0.1:x", "", "is not the address of a service"),
        ("http://127.0.0.1:{port}", "a\nb", "AGGREGATOR_API_KEY has characters that no key has"),
    ],
)
def test_a_service_that_takes_nothing_is_told(run: Run, service: HTTPServer, url: str, key: str, told: str) -> None:
    """One line and exit code 1; the letters stay."""
    rejected = run("list").stdout.splitlines()[1].split()[0]
    done = run("replay", rejected, "--url", url.format(port=service.server_port), key=key)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert told in done.stderr
    assert run("list").stdout.endswith("4 dead letters\n")


def test_without_files_of_trades_there_is_nothing_to_do(run: Run, folder: Path) -> None:
    """The command names the settings of both files, and creates none."""
    for file in folder.iterdir():
        file.unlink()
    done = run("list", "--kind", "trades")
    assert done.returncode == 1
    assert "--dead-letters-path or --trades-outbox-path" in done.stderr
    assert list(folder.iterdir()) == []
