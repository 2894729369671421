"""Whatever a venue sends, the loop is never held for 100 ms, and the process does not grow by 64 MiB."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from aggregator.errors import MOST_DETAIL
from tests.exchanges.hostile import frames, http
from tests.parts.process import ROOT, Process

pytestmark = pytest.mark.real

MOST_STALL = 100.0  # milliseconds of CPU time between two turns of the event loop
MOST_GROWTH = 64.0  # MiB
USUAL = "ticker:mock:1:32"  # one symbol a call, as many calls at once as a tier may make
KINDS = {
    "long-time": "ticker:binance:1:32",
    "said": "ticker:binance:1:32",
    "bad-symbols": "ticker:binance:20:32",
    "all-bad": "ticker:mock:1000:2",
    "all-the-same": "ticker:mock:1000:2",
    "all-numbers": "ticker:mock:1000:2",
    "error-text": "ticker:kraken:50:4",
    "error-texts": "ticker:kraken:50:4",
    "listing-errors": "listing:kraken",
}
# A ticker is what it says; that no market has such numbers is for whoever makes prices to see.
TICKERS = {"pipelined", "cookies", "exponent"}
LISTINGS = [name for name in http.ATTACKS if name.startswith("listing")]
Attack = Callable[[str, str], dict[str, object]]


@pytest.fixture(scope="module")
def attack() -> Iterator[Attack]:
    """Run the hostile venue and the probe; return what makes one attack of a kind and returns what it did."""
    server = Process([sys.executable, "-m", "tests.exchanges.hostile.server"])
    url = server.wait_for_line(r"http://\S+")[0]
    command = [sys.executable, "-m", "tests.exchanges.hostile.probe"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        reading, writing = probe.stdout, probe.stdin
        assert reading is not None
        assert writing is not None

        def run(kind: str, name: str) -> dict[str, object]:
            if name in http.ATTACKS:
                prepare(url, name)
            writing.write(f"{kind} {url}/{name}\n")
            writing.flush()
            said = json.loads(reading.readline())
            assert isinstance(said, dict)
            return said

        yield run
        writing.close()
    server.stop()


def prepare(url: str, name: str) -> None:
    """Have the venue make what it sends, so that the client's patience is not over before."""
    host, _, port = url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /{name}/ HTTP/1.1\r\n\r\n".encode())
        connection.recv(1)


def check(did: dict[str, object]) -> None:
    """Hold what an attack did against the bounds."""
    stall, growth = did["stall_ms"], did["growth_mib"]
    assert isinstance(stall, float)
    assert isinstance(growth, float)
    assert stall <= MOST_STALL, did
    assert growth <= MOST_GROWTH, did


@pytest.mark.parametrize("name", [name for name in http.ATTACKS if name not in LISTINGS and name != "well"])
def test_an_answer(attack: Attack, name: str) -> None:
    """To a call for tickers: no ticker comes of it, and what is said about it is short."""
    did = attack(KINDS.get(name, USUAL), name)
    check(did)
    assert did["longest"] <= MOST_DETAIL, did  # type: ignore[operator]  # an object
    assert name in TICKERS or "ticker" not in did["reasons"], did  # type: ignore[operator]  # likewise


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing(attack: Attack, name: str) -> None:
    """A large one is read if it is one; others are refused, and what is known of the venue stays."""
    did = attack(KINDS.get(name, "listing:binance"), name)
    check(did)
    if name == "listing-well":
        assert did["size"] == 5000, did
    else:
        assert did["size"] is None, did
        assert did["error"], did


@pytest.mark.parametrize("name", list(frames.ATTACKS))
def test_frames(attack: Attack, name: str) -> None:
    """Over a WebSocket: the connection is made, and the reason for its end is short."""
    did = attack("push", name)
    check(did)
    assert did["connections"] == 1, did
    assert did["longest"] <= MOST_DETAIL + len("undecodable: "), did  # type: ignore[operator]  # an object


@pytest.mark.parametrize("name", ["interim", "header", "headers", "refusal", "redirect", "pipelined", "drip-head"])
def test_a_handshake(attack: Attack, name: str) -> None:
    """What answers instead of a WebSocket is no connection, and a redirect is not followed."""
    did = attack("push", name)
    check(did)
    assert did["connections"] == 0, did
