"""A replay against a server: nothing is lost, moved or sent without end, whatever the server does."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aggregator.cli.ingest_client import IngestClient
from aggregator.cli.main import main
from aggregator.cli.replay.batches import MOST_ROWS, Batch
from aggregator.cli.replay.sender import Counts, Sender, Stopped
from aggregator.errors import CannotGoOn
from tests.cli.replay.ingest_server import BUSY, Failure, IngestServer, ingest_server
from tests.parts.limits import allowed

PRICES = range(1, 2_501)
TOO_OFTEN: Failure = (429, {"Retry-After": "0"}, {"msg": "Too often", "code": "ingested_too_often"})


@pytest.fixture
def server() -> Iterator[IngestServer]:
    """Run a server."""
    with ingest_server() as running:
        yield running


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    """Write a file with 2,500 trades, a second apart."""
    lines = [f"btcusdt,{price},1,{1_795_241_427 + price},{price}\n" for price in PRICES]
    path = tmp_path / "trades.csv"
    path.write_text("asset,price,volume,timestamp,id\n" + "".join(lines))
    return path


def replay(trades: Path, server: IngestServer, *options: str) -> int:
    """Run the command at the highest speed unless the options have another; return its exit code."""
    return main(["replay", str(trades), "--url", server.url, "--speed", "max", *options])


def stored(server: IngestServer) -> list[int]:
    """Return the prices that the server has, in its order."""
    return [json.loads(line)["price"] for line in server.lines]


def test_everything_arrives_in_order(server: IngestServer, trades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In calls of at most 1,000 trades; the summary has the counts."""
    assert replay(trades, server) == 0
    assert stored(server) == list(PRICES)
    assert [len(call) for call in server.calls] == [MOST_ROWS, MOST_ROWS, 500]
    assert server.paths == ["/ingest"] * 3
    assert server.headers[0]["Content-Type"] == "application/x-ndjson"
    out = capsys.readouterr().out
    assert re.search(r"^sent 2,500 trades in 3 calls, \d", out, re.MULTILINE)
    assert "accepted 2,500, duplicates 0, rejected 0\n" in out


def test_a_second_time(server: IngestServer, trades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same file again has duplicates only, which are no error."""
    assert replay(trades, server) == 0
    assert replay(trades, server) == 0
    assert stored(server) == list(PRICES)
    assert "accepted 0, duplicates 2,500, rejected 0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "failures",
    [
        ["before"],
        ["after"],
        [BUSY, BUSY, BUSY],
        [TOO_OFTEN, "before", BUSY, "after"],
        [(502, {}, b"<html>no upstream</html>"), (500, {}, {"msg": "?"}), (504, {}, b"")],
    ],
)
def test_failures_that_pass(
    server: IngestServer, trades: Path, failures: list[Failure], capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch is sent again until it is taken, and the next one only then: nothing is missing, doubled or moved."""
    server.failures = list(failures)
    assert replay(trades, server) == 0
    assert stored(server) == list(PRICES)
    assert f"calls repeated: {len(failures)}\n" in capsys.readouterr().out


def test_rejected_trades(server: IngestServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary has the first ten with their place in the file; the others are sent; the exit code is 1."""
    path = tmp_path / "trades.ndjson"
    bad = "".join('{"asset":"btcusdt","price":"no"}\n' for _ in range(12))
    path.write_text('{"asset":"btcusdt","price":1}\n\n' + bad + '{"asset":"btcusdt","price":2}\nno JSON\n')
    assert replay(path, server) == 1
    assert stored(server) == [1, 2]
    captured = capsys.readouterr()
    assert "accepted 2, duplicates 0, rejected 13\n  row 3: the price is no number\n  row 4:" in captured.out
    assert captured.out.count("  row ") == 10
    assert "  and 3 more\n" in captured.out
    assert captured.err == "aggregator: 13 trades were rejected\n"


def test_a_batch_without_a_good_trade(server: IngestServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status 400 of the service counts as an answer for each trade."""
    path = tmp_path / "trades.ndjson"
    path.write_text("no JSON\n")
    assert replay(path, server) == 1
    assert "sent 1 trade in 1 call," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            (401, {}, {"msg": "An API key is needed", "code": "key_needed"}),
            "401: An API key is needed; set AGGREGATOR_API",
        ),
        ((403, {}, {"msg": "not valid", "code": "key_invalid"}), "HTTP 403: not valid"),
        ((404, {}, b"nginx"), "HTTP 404; check that --url"),
        ((400, {}, {"msg": "The body is empty", "code": "invalid_request"}), "HTTP 400: The body is empty"),
        ((200, {}, b"<html>"), "HTTP 200; check that --url"),
        ((308, {"Location": "https://elsewhere/ingest"}, b""), "redirects to https://elsewhere/ingest"),
        (
            (200, {}, {"accepted": 999, "rejected": []}),
            "is about 999 other trades than the 1000",
        ),
        ((200, {}, {"accepted": 999, "rejected": [{"index": 5000}]}), "is about 1000 other trades than the 1000"),
    ],
)
def test_failures_that_do_not_pass(
    server: IngestServer, trades: Path, failure: Failure, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends at once with what the service said, exit code 1, and a summary of what was taken before."""
    server.failures = [failure]
    assert replay(trades, server) == 1
    assert server.lines == []
    captured = capsys.readouterr()
    assert said in captured.err
    assert "sent 0 trades in 0 calls" in captured.out


def test_an_address_without_a_service(trades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says at once that it tries again; after the patience it ends, and says how to go on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert main(["replay", str(trades), "--url", url, "--speed", "max", "--patience", "0.9"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("does not take trades yet: Connection refused; trying for 0.9 s\n") == 1
    assert "has not taken a batch for 0.9 s: Connection refused; start the same command again" in captured.err
    assert "sent 0 trades" in captured.out


def test_the_key(server: IngestServer, trades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the environment goes into the Authorization header; without one there is no such header."""
    assert replay(trades, server) == 0
    monkeypatch.setenv("AGGREGATOR_API_KEY", "secret")
    assert replay(trades, server) == 0
    assert [headers.get("Authorization") for headers in server.headers] == [None] * 3 + ["Bearer secret"] * 3


def test_the_path_of_a_proxy(server: IngestServer, trades: Path) -> None:
    """A path in the address stays in front of /ingest."""
    server.url += "/prices/"
    assert replay(trades, server) == 0
    assert server.paths[0] == "/prices/ingest"


def test_options_for_trades_without(server: IngestServer, tmp_path: Path) -> None:
    """`--asset`, `--venue` and `--shift now` reach the lines that are sent."""
    path = tmp_path / "download.txt"
    path.write_text("price,time\n1,1000000000\n2,1000000001\n")
    options = ("--format", "csv", "--asset", "btcusdt", "--venue", "binance", "--shift", "now")
    assert replay(path, server, *options) == 0
    first, second = (json.loads(line) for line in server.lines)
    assert first | {"timestamp": 0} == {"asset": "btcusdt", "price": 1, "timestamp": 0, "venue": "binance"}
    assert first["timestamp"] > 1_700_000_000
    assert second["timestamp"] - first["timestamp"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv"], "cannot read missing.csv: No such file"),
        (["."], "does not tell its format; say --format csv|ndjson|parquet|rec"),
        ([".", "--format", "csv"], "cannot read .: Is a directory"),
        (["x.csv", "--url", "localhost:8080"], "is not the address of a service"),
        (["x.csv", "--url", "http://user:word@host"], "is not the address of a service"),
        (["x.csv", "--url", "http://host:99999"], "is not the address of a service"),
        (["x.csv", "--url", "http://host/?a=b"], "is not the address of a service"),
        (["x.csv", "--url", "http://ho st"], "is not the address of a service"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line that says what is wrong."""
    assert main(["replay", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast", "1e9"])
def test_wrong_speed(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 from the parser."""
    with pytest.raises(SystemExit) as ended:
        main(["replay", "x.csv", f"--speed={speed}"])
    assert ended.value.code == 2
    assert "is not a number up to 1000000, or max" in capsys.readouterr().err


def test_a_key_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line end in the key cannot add a header."""
    monkeypatch.setenv("AGGREGATOR_API_KEY", "a\r\nX-Other: b")
    assert main(["replay", "x.csv"]) == 2
    assert "AGGREGATOR_API_KEY has characters that no key has" in capsys.readouterr().err


def test_the_rows_before_the_damage(server: IngestServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that breaks off is sent up to there; then the command ends with exit code 1 and names the place."""
    path = tmp_path / "trades.csv"
    path.write_text("asset,price,time\nbtcusdt,1,1000000000\nbtcusdt,2,1000000000\n" + "x" * 70_000)
    assert replay(path, server) == 1
    assert stored(server) == [1, 2]
    assert "line 4: longer than 65536 bytes" in capsys.readouterr().err


def test_the_pace(server: IngestServer, tmp_path: Path) -> None:
    """No call comes before its trades are due: 2 s of trades at ten times the speed take 0.2 s."""
    path = tmp_path / "trades.csv"
    path.write_text("asset,price,time\n" + "".join(f"btcusdt,{one},{1_000_000_000 + one}\n" for one in (1, 2, 3)))
    loop = asyncio.new_event_loop()
    times: list[float] = []
    server.on_call = lambda: times.append(loop.time())
    began = loop.time()
    assert main(["replay", str(path), "--url", server.url, "--speed", "10"]) == 0
    assert [len(call) for call in server.calls] == [1, 1, 1]
    assert all(time - began >= due for time, due in zip(times, (0, 0.1, 0.2), strict=True))
    loop.close()


async def test_a_stop_while_a_batch_waits(server: IngestServer) -> None:
    """The pause before the next try ends at once; the batch does not count as sent."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    server.failures = [(503, {"Retry-After": "30"}, {})]
    server.on_call = lambda: loop.call_soon_threadsafe(stop.set)
    with closing(IngestClient(server.url, None, 10)) as client:
        sender = Sender(client, 3600, stop)
        async with asyncio.timeout(allowed(5)):
            with pytest.raises(Stopped):
                await sender.send(Batch(0, [1], b"{}\n"))
    assert vars(sender.counts) == vars(Counts()) | {"retries": 1}


async def test_a_retry_after_beyond_the_patience(server: IngestServer) -> None:
    """The sender does not wait for what it would not use."""
    server.failures = [(503, {"Retry-After": "30"}, {})]
    with closing(IngestClient(server.url, None, 10)) as client:
        sender = Sender(client, 20, asyncio.Event())
        async with asyncio.timeout(allowed(2)):
            with pytest.raises(CannotGoOn, match="HTTP 503"):
                await sender.send(Batch(0, [1], b"{}\n"))


def test_an_endless_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The client reads a bounded part of it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def flood() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while True:
                        connection.sendall(b"x" * 65_536)
                except OSError:
                    continue

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    path = tmp_path / "trades.csv"
    path.write_text("price,time\n1,1\n")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert main(["replay", str(path), "--url", url, "--patience", "0.2"]) == 1
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    flooding.join()
    assert "an answer of more than" in capsys.readouterr().err
