"""`aggregator symbols`: writes a symbols file from local venues' listings and volumes, or fails and writes none."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from aggregator.cli.main import main
from aggregator.cli.symbols import Wanted
from aggregator.cli.symbols import symbols as make
from aggregator.errors import CannotGoOn
from aggregator.prices.tiers import read_symbols
from aggregator.settings.loader import load
from tests.exchanges.venues.base import Fault, Quote, Venue, beside
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.bybit import BybitVenue
from tests.exchanges.venues.coinbase import CoinbaseVenue
from tests.exchanges.venues.kraken import KrakenVenue
from tests.exchanges.venues.okx import OkxVenue
from tests.parts.commands import run_command
from tests.parts.ports import free_port

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
# Volumes: 300 BTC in USDT, 100 in USD (for which Coinbase gives no price), 2,000 ETH, 18 million DOGE.
FILE = "symbol,base,quote\nbtcusdt,btc,usdt\nbtcusd,btc,usd\nethusdt,eth,usdt\ndogeusd,doge,usd\nusdtusd,usdt,usd\n"


class Five:
    """The five local venues."""

    def __init__(self, stack: ExitStack) -> None:
        self.venues = {name: stack.enter_context(beside(make(quotes))) for name, (make, quotes) in LISTED.items()}

    @property
    def exchanges(self) -> str:
        """The AGGREGATOR_EXCHANGES setting."""
        return ",".join(f"{name}={name}+{venue.url}" for name, venue in self.venues.items())


@pytest.fixture(scope="module")
def shared() -> Iterator[Five]:
    """Serve the venues once for all tests."""
    with ExitStack() as stack:
        yield Five(stack)


@pytest.fixture
def five(shared: Five) -> Iterator[Five]:
    """Return the venues, without faults afterwards."""
    yield shared
    for venue in shared.venues.values():
        venue.fault = None


def symbols(*options: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    return run_command("symbols", *options, environment=environment)


def made(exchanges: str, file: Path, top: int = 1000, least: int | None = None) -> str:
    """Run the command in this process; return the file's content."""
    asyncio.run(make(load({"exchanges": exchanges}), Wanted(top, least, file), asyncio.Event()))
    return file.read_text()


def test_what_two_venues_list_the_most_traded_first(five: Five, tmp_path: Path) -> None:
    """Assets of two venues are listed by volume in US dollars; those of one venue and halted ones are left out."""
    file = tmp_path / "symbols.csv"
    file.write_text("symbol\nold\n")
    done = symbols("--exchanges", five.exchanges, "--file", file)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert file.read_text() == FILE
    assert [row[0] for row in read_symbols(file.read_text())][:2] == ["btcusdt", "btcusd"]
    assert "fewer_symbols" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["symbols.csv"]


def test_a_venue_that_does_not_answer_ends_it(five: Five, tmp_path: Path) -> None:
    """A venue that does not answer is named, with exit code 1, and the file stays as it was."""
    file = tmp_path / "symbols.csv"
    file.write_text("as it was")
    five.venues["kraken"].fault = lambda _: web.Response(status=500)
    done = symbols("--exchanges", five.exchanges, "--file", file)
    assert done.returncode == 1
    named = f"aggregator: kraken ({five.venues['kraken'].url}) did not answer: http_error HTTP 500; try again, or leave"
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == "as it was"
    assert [one.name for one in tmp_path.iterdir()] == ["symbols.csv"]


def test_to_stdout_and_no_more_than_wanted(five: Five, capsys: pytest.CaptureFixture[str]) -> None:
    """With stdout as target, the list is printed, limited to the count."""
    asyncio.run(make(load({"exchanges": five.exchanges}), Wanted(2), asyncio.Event()))
    assert capsys.readouterr().out.endswith("".join(FILE.splitlines(keepends=True)[:3]))


def test_how_many_venues(five: Five, tmp_path: Path) -> None:
    """The number of venues per asset follows from the flag, and is one when one venue is named."""
    alone = made(f"binance=binance+{five.venues['binance'].url}", tmp_path / "one.csv")
    assert "lonelyusdt" in alone
    assert "halted" not in alone
    three = made(five.exchanges, tmp_path / "three.csv", least=3)
    assert three == "symbol,base,quote\nbtcusdt,btc,usdt\n"


@pytest.mark.parametrize(
    ("fault", "said"),
    [(lambda _: web.Response(text="<html>"), "undecodable"), (lambda _: web.Response(status=429), "rate_limited")],
)
def test_whatever_it_answers_instead(five: Five, tmp_path: Path, fault: Fault, said: str) -> None:
    """Any wrong answer is reported with its reason, and no file is created."""
    five.venues["kraken"].fault = fault
    with pytest.raises(CannotGoOn, match=rf"^kraken \(http://\S+\) did not answer: {said}"):
        made(five.exchanges, tmp_path / "new.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_venue_that_is_away_is_named(five: Five, tmp_path: Path) -> None:
    """A venue that refuses connections is named."""
    away = f"okx=okx+http://127.0.0.1:{free_port()}"
    with pytest.raises(CannotGoOn, match=r"^okx .* did not answer: unreachable"):
        made(f"{away},kraken=kraken+{five.venues['kraken'].url}", tmp_path / "new.csv")
    assert list(tmp_path.iterdir()) == []


def test_volumes_without_prices_are_no_order(five: Five, tmp_path: Path) -> None:
    """Coinbase alone is refused: its answer has volumes without prices, so the order would be by name."""
    with pytest.raises(CannotGoOn, match=r"^no exchange gives prices"):
        made(f"coinbase=coinbase+{five.venues['coinbase'].url}", tmp_path / "new.csv")


def test_told_to_stop_it_writes_nothing(five: Five, tmp_path: Path) -> None:
    """SIGINT while an exchange hangs: nothing is written."""

    async def stopped() -> None:
        stop = asyncio.Event()
        stop.set()
        await make(load({"exchanges": five.exchanges}), Wanted(file=tmp_path / "new.csv"), stop)

    with pytest.raises(CannotGoOn, match="nothing is written"):
        asyncio.run(stopped())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(five: Five, tmp_path: Path) -> None:
    """A missing folder, or a folder in the place of the file, is an error."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in (tmp_path / "nowhere" / "symbols.csv", folder):
        with pytest.raises(CannotGoOn, match=f"^cannot write {file}: "):
            made(five.exchanges, file)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("exchanges", "least", "said"),
    [
        ("ccxt:gemini", None, "name some of binance, coinbase, kraken, okx, bybit"),
        ("a=mock+http://127.0.0.1:1", None, "name some of binance"),
        ("kraken,okx", 3, "--min-venues 3 is more than the 2 exchanges"),
    ],
)
def test_what_cannot_be_done_is_told(exchanges: str, least: int | None, said: str, tmp_path: Path) -> None:
    """Impossible options are refused before any venue is called."""
    with pytest.raises(CannotGoOn, match=said):
        made(exchanges, tmp_path / "new.csv", least=least)


@pytest.mark.parametrize("option", ["--top", "--min-venues"])
def test_a_count_is_a_whole_number(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A count that is no whole number is a usage error, exit code 2."""
    for wrong in ("0", "-1", "1.5", "many", "9" * 40):
        with pytest.raises(SystemExit, match="2"):
            main(["symbols", option, wrong])
        assert "is not a whole number from 1 to " in capsys.readouterr().err
