"""The mock exchange as a process: how it starts, how it stops, and the flags that it refuses."""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from mock_exchange.__main__ import main
from tests.mock_exchange.conftest import DEADLINE, Client, Start
from tests.parts.limits import allowed
from tests.parts.process import ROOT

pytestmark = pytest.mark.real
BTC = "/mock/ticker/btcusdt"


def test_one_line_on_stdout_and_exit_code_0_on_sigterm(start: Start) -> None:
    """The line has its address; there is no other output."""
    exchange = start()
    assert re.fullmatch(r"exchange1 listening on http://127\.0\.0\.1:\d+\n", exchange.line)
    exchange.child.send_signal(signal.SIGTERM)
    assert exchange.ended() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_while_calls_hang(start: Start, number: signal.Signals) -> None:
    """Hanging calls are reset and delayed ones answered at once; neither delays the stop."""
    exchange = start()
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        under_way(Client(session, exchange.url), hang_rate=1) as hanging,
        under_way(Client(session, exchange.url), latency_ms=60_000) as slow,
    ):
        began = time.monotonic()
        exchange.child.send_signal(number)
        assert await asyncio.to_thread(exchange.ended) == (0, "", "")
        assert time.monotonic() - began < allowed(2)
        assert await asyncio.wait_for(hanging.read(), DEADLINE) == b""
        assert b"200 OK" in await asyncio.wait_for(slow.read(), DEADLINE)


@contextlib.asynccontextmanager
async def under_way(client: Client, **faults: object) -> AsyncIterator[asyncio.StreamReader]:
    """Start a call for a ticker; yield once the server has read it, but not answered."""
    await client.faults(**faults)
    url = URL(client.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {BTC} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    await writer.drain()
    # bytes arrive at once on the loopback: a server that answers later calls has read this one
    for _ in range(3):
        assert (await client.get("/mock/faults"))[0] == 200
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


def test_it_stops_at_the_end_of_its_stdin() -> None:
    """With --exit-with-stdin, `python -m mock_exchange` does not outlive the parent that holds the pipe."""
    command = [sys.executable, "-m", "mock_exchange", "--name", "exchange1", "--port", "0", "--exit-with-stdin"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as child:
        assert child.stdout
        assert "listening" in child.stdout.readline()
        assert child.communicate(timeout=DEADLINE) == ("", "")  # closes its stdin
    assert child.returncode == 0


def test_a_port_in_use_is_one_line(start: Start) -> None:
    """The line says what to do; there is no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, stderr = start("--port", str(taken.getsockname()[1])).ended()
    assert code == 1
    assert re.fullmatch(r"mock_exchange: cannot listen on .*in use; choose another --port .*\n", stderr)


def test_a_bad_symbols_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether missing or broken, the line names the file."""
    broken = tmp_path / "broken.csv"
    broken.write_text("symbol\nbtc-usdt\n")
    for path in (broken, tmp_path / "none.csv"):
        assert main(["--name", "exchange1", "--port", "0", "--symbols", str(path)]) == 1
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert said.err.startswith("mock_exchange: ")
        assert str(path) in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "70000"),
        ("--port", "x"),
        ("--name", ""),
        ("--seed", "1.5"),
        ("--push-ms", "9"),
        ("--push-ms", "60001"),
        ("--push-ms", "1e3"),
        ("--trades-per-second", "5001"),
        ("--trades-per-second", "nan"),
        ("--plants", "10.1"),
        ("--plants", "-1"),
    ],
)
def test_a_wrong_flag_is_refused(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2; the error names the flag."""
    with pytest.raises(SystemExit) as ended:
        main(["--name", "exchange1", "--port", "0", *arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert arguments[0] in said.err
