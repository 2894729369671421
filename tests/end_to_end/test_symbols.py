"""`aggregator symbols`: a symbols file from what local venues list and trade, or an error and no file."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from aggregator.tiers import read_symbols
from tests.exchanges.venues.base import Quote, Venue, beside
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.bybit import BybitVenue
from tests.exchanges.venues.coinbase import CoinbaseVenue
from tests.exchanges.venues.kraken import KrakenVenue
from tests.exchanges.venues.okx import OkxVenue
from tests.parts.ports import free_port
from tests.parts.process import ROOT

pytestmark = pytest.mark.real

BTC_USDT = Quote("btc", "usdt", "80000", "100")
BTC_USD = Quote("btc", "usd", "79900", "50")
ETH_USDT = Quote("eth", "usdt", "3000", "1000")
DOGE_USD = Quote("doge", "usd", "0.2", "9000000")
USDT_USD = Quote("usdt", "usd", "0.999", "1000000")
LONELY = Quote("lonely", "usdt", "1", "999999999")
HALTED = Quote("halted", "usdt", "1", "999999999", trading=False)
LISTED: dict[str, tuple[type[Venue], Sequence[Quote]]] = {
    "binance": (BinanceVenue, [ETH_USDT, BTC_USDT, LONELY, HALTED]),
    "coinbase": (CoinbaseVenue, [BTC_USD, DOGE_USD]),
    "kraken": (KrakenVenue, [DOGE_USD, BTC_USD, USDT_USD]),
    "okx": (OkxVenue, [ETH_USDT, BTC_USDT, HALTED]),
    "bybit": (BybitVenue, [BTC_USDT, HALTED, Quote("usdt", "usd", "0.999", "much")]),
}
# 300 BTC for USDT, 100 for USD (of which Coinbase tells no price), 2,000 ETH, 18 million DOGE.
FILE = "symbol,base,quote\nbtcusdt,btc,usdt\nbtcusd,btc,usd\nethusdt,eth,usdt\ndogeusd,doge,usd\nusdtusd,usdt,usd\n"


class Five:
    """The five local venues."""

    def __init__(self, stack: ExitStack) -> None:
        self.venues = {name: stack.enter_context(beside(make(quotes))) for name, (make, quotes) in LISTED.items()}

    @property
    def exchanges(self) -> str:
        """The setting."""
        return ",".join(f"{name}={name}+{venue.url}" for name, venue in self.venues.items())


@pytest.fixture(scope="module")
def shared() -> Iterator[Five]:
    """Serve them once."""
    with ExitStack() as stack:
        yield Five(stack)


@pytest.fixture
def five(shared: Five) -> Iterator[Five]:
    """Return them, without faults again afterwards."""
    yield shared
    for venue in shared.venues.values():
        venue.fault = None


def symbols(*options: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    command = [sys.executable, "-m", "aggregator", "symbols", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_what_two_venues_list_the_most_traded_first(five: Five, tmp_path: Path) -> None:
    """In US dollars, whatever it is quoted in; not what one lists alone, and not what is halted."""
    file = tmp_path / "symbols.csv"
    file.write_text("symbol\nold\n")
    done = symbols("--exchanges", five.exchanges, "--file", file)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert file.read_text() == FILE
    assert [row[0] for row in read_symbols(file.read_text())][:2] == ["btcusdt", "btcusd"]
    assert "fewer_symbols" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["symbols.csv"]


def test_to_stdout_and_no_more_than_wanted(five: Five) -> None:
    """So that it can be looked at first; the log is on stderr."""
    done = symbols("--exchanges", five.exchanges, "--top", 2)
    assert (done.returncode, done.stdout) == (0, "".join(FILE.splitlines(keepends=True)[:3]))


def test_how_many_venues(five: Five) -> None:
    """One alone is enough where one is named, and three where three are wanted."""
    alone = symbols("--exchanges", f"binance=binance+{five.venues['binance'].url}")
    assert "lonelyusdt" in alone.stdout
    assert "halted" not in alone.stdout
    three = symbols("--exchanges", five.exchanges, "--min-venues", 3)
    assert three.stdout == "symbol,base,quote\nbtcusdt,btc,usdt\n"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda _: web.Response(status=500), "http_error HTTP 500"),
        (lambda _: web.Response(text="<html>"), "undecodable"),
        (lambda _: web.Response(status=429), "rate_limited HTTP 429"),
    ],
)
def test_a_venue_that_does_not_answer_is_named(five: Five, tmp_path: Path, fault: object, said: str) -> None:
    """The exit code is 1, and the file is as it was."""
    file = tmp_path / "symbols.csv"
    file.write_text("as it was")
    five.venues["kraken"].fault = fault  # type: ignore[assignment]  # a Fault
    done = symbols("--exchanges", five.exchanges, "--file", file)
    assert done.returncode == 1
    assert f"aggregator: kraken ({five.venues['kraken'].url}) did not answer: {said}" in done.stderr
    assert "leave it out of --exchanges" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == "as it was"
    assert [one.name for one in tmp_path.iterdir()] == ["symbols.csv"]


def test_a_venue_that_is_away_is_named(five: Five, tmp_path: Path) -> None:
    """And no file is begun."""
    away = f"okx=okx+http://127.0.0.1:{free_port()}"
    done = symbols("--exchanges", f"{away},kraken=kraken+{five.venues['kraken'].url}", "--file", tmp_path / "new.csv")
    assert done.returncode == 1
    assert "did not answer: unreachable" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(five: Five, tmp_path: Path) -> None:
    """A folder that is not there, and a folder in the place of the file."""
    for file in (tmp_path / "nowhere" / "symbols.csv", tmp_path):
        done = symbols("--exchanges", five.exchanges, "--file", file)
        assert done.returncode == 1
        assert f"aggregator: cannot write {file}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--exchanges", "ccxt:gemini"), 1, "name some of binance, coinbase, kraken, okx, bybit"),
        (("--exchanges", "a=mock+http://127.0.0.1:1"), 1, "name some of binance"),
        (("--exchanges", "kraken,okx", "--min-venues", "3"), 1, "--min-venues 3 is more than the 2 exchanges"),
        (("--exchanges", "kraken", "--top", "0"), 2, "is not a whole number from 1 to 100000"),
        (("--exchanges", "nobody"), 2, "'nobody' is neither"),
    ],
)
def test_what_cannot_be_done_is_told(options: Sequence[str], code: int, said: str) -> None:
    """Before anybody is asked."""
    done = symbols(*options)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
