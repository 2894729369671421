"""No answer of a venue blocks the event loop for 100 ms or makes the process grow by 64 MiB."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

import pytest

from aggregator.errors import MOST_DETAIL
from tests.exchanges.hostile import frames, http
from tests.parts.process import ROOT, Process

pytestmark = pytest.mark.real

MOST_STALL = 100.0  # milliseconds of CPU time between two iterations of the event loop
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
# Their answers are valid tickers; that no market has such numbers is for pricing to find.
TICKERS = {"pipelined", "cookies", "exponent"}
RECENT = [name for name in http.ATTACKS if name.startswith("recent")]
READABLE = {"recent-bad-rows": 1999, "recent-trades": 1999, "recent-digits": 1}
LISTINGS = [name for name in http.ATTACKS if name.startswith("listing")]
# Attacks that resemble another one, which the suite makes: interim, headers, lines, deflate, error-texts, listing.
RESEMBLING = {"interim-headers", "header", "reason", "not-http", "noise", "raw-deflate", "error-text", "listing-15"}
Attack = Callable[[str, str], dict[str, object]]


def chosen(names: Iterable[str]) -> list[object]:
    """Return the names as parameters; attacks that resemble another one are `long`."""
    return [pytest.param(one, marks=pytest.mark.long if one in RESEMBLING else ()) for one in names]


@pytest.fixture(scope="module")
def attack() -> Iterator[Attack]:
    """Run the hostile venue; return a function that makes one attack and returns its measured effects."""
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
    """Have the venue prepare its answer first, so that the client does not time out meanwhile."""
    host, _, port = url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /{name}/ HTTP/1.1\r\n\r\n".encode())
        connection.recv(1)


def check(did: dict[str, object]) -> None:
    """Check the effects of an attack against the bounds."""
    stall, growth = did["stall_ms"], did["growth_mib"]
    assert isinstance(stall, float)
    assert isinstance(growth, float)
    assert stall <= MOST_STALL, did
    assert growth <= MOST_GROWTH, did


@pytest.mark.parametrize("name", chosen(name for name in http.ATTACKS if name not in (*LISTINGS, *RECENT, "well")))
def test_an_answer(attack: Attack, name: str) -> None:
    """An attack on a call for tickers gives no ticker, and a short reason."""
    did = attack(KINDS.get(name, USUAL), name)
    check(did)
    assert did["longest"] <= MOST_DETAIL, did  # type: ignore[operator]  # an object
    assert name in TICKERS or "ticker" not in did["reasons"], did  # type: ignore[operator]  # a list


@pytest.mark.parametrize("name", chosen(LISTINGS))
def test_a_listing(attack: Attack, name: str) -> None:
    """A large listing is read; an attack is refused, and the listing read before stays in use."""
    did = attack(KINDS.get(name, "listing:binance"), name)
    check(did)
    if name == "listing-well":
        assert did["size"] == 5000, did
    else:
        assert did["size"] is None, did
        assert did["error"], did


@pytest.mark.parametrize("name", list(frames.ATTACKS))
def test_frames(attack: Attack, name: str) -> None:
    """An attack over a WebSocket ends the connection with a short reason."""
    did = attack("push", name)
    check(did)
    assert did["connections"] == 1, did
    assert did["longest"] <= MOST_DETAIL + len("undecodable: "), did  # type: ignore[operator]  # an object


@pytest.mark.parametrize("name", frames.ATTACKS_ON_TRADES)
def test_a_feed_of_trades(attack: Attack, name: str) -> None:
    """An attack on the feed of trades does not end it; what is kept of a bad record is bounded."""
    did = attack("trades", name)
    check(did)
    assert not did["ended"], did
    assert (did["trades"] > 0) is (name in ("trades", "many-trades")), did  # type: ignore[operator]  # an object


@pytest.mark.parametrize("name", RECENT)
def test_recent_trades(attack: Attack, name: str) -> None:
    """An answer with too many trades is refused; others are records, good or bad."""
    did = attack("recent:mock", name)
    check(did)
    assert did["records"] == READABLE.get(name, 0), did
    assert bool(did["error"]) is (name not in READABLE), did


@pytest.mark.parametrize("name", ["interim", "header", "headers", "refusal", "redirect", "pipelined", "drip-head"])
def test_a_handshake(attack: Attack, name: str) -> None:
    """An attack on the handshake makes no connection, and a redirect is not followed."""
    did = attack("push", name)
    check(did)
    assert did["connections"] == 0, did
