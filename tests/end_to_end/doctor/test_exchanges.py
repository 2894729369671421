"""`aggregator doctor` on exchanges: failures, unlisted symbols, listings, and feeds that push nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.doctor.report import Report, run_doctor
from tests.exchanges.venues.base import Quote
from tests.exchanges.venues.binance import BinanceFeed
from tests.exchanges.venues.kraken import KrakenFeed
from tests.exchanges.venues.sockets import beside
from tests.parts.exchanges import Market
from tests.parts.ports import free_port

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"error_rate": 1}, "http_error: HTTP 500"),
        ({"hang_rate": 1}, "timeout"),
        ({"garbage_rate": 1}, "undecodable"),
        ({"drop_rate": 1}, "unreachable"),
        ({"rate_limit": 0}, "rate_limited"),
    ],
)
def test_an_exchange_that_fails(
    healthy: dict[str, object], market: Market, faults: dict[str, object], says: str
) -> None:
    """Only this exchange is reported, with the reason."""
    market.exchanges["exchange2"].faults(**faults)
    report = Report(run_doctor(**healthy | {"exchange_timeout": 3}))
    assert (report.code, report.problems()) == (2, {"exchange exchange2": "fail"})
    assert says in report.finding("exchange exchange2")[1]


def test_an_exchange_that_is_away(healthy: dict[str, object]) -> None:
    """Nothing listens at its address; the password in the address is not shown."""
    away = f"away=mock+http://user:hush@127.0.0.1:{free_port()}"
    report = Report(run_doctor(**healthy | {"exchanges": f"{healthy['exchanges']},{away}"}))
    assert report.problems() == {"exchange away": "fail"}
    assert "unreachable: connection refused;" in " ".join(report.finding("exchange away"))
    assert "hush" not in report.text


def test_a_symbol_it_does_not_list(healthy: dict[str, object], tmp_path: Path) -> None:
    """A warning, as it is no fault of the exchange."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol\nnosuchcoin\n")
    report = Report(run_doctor(**healthy | {"symbols_file": symbols}))
    assert report.code == 1
    assert report.problems() == dict.fromkeys([f"exchange exchange{number}" for number in (1, 2, 3)], "warn") | {
        "clock": "warn"
    }


@pytest.fixture
def real_ones(
    healthy: dict[str, object], tmp_path: Path
) -> Iterator[tuple[BinanceFeed, KrakenFeed, dict[str, object]]]:
    """Run a Binance that trades only ethusdt and pushes, and a Kraken, whose tickers have no time."""
    binance, kraken = BinanceFeed(), KrakenFeed()
    binance.rest.quotes = {"ethusdt": Quote("eth", "usdt", "3321.07", "10")}
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n")
    with beside(binance, kraken):
        exchanges = f"binance=binance+{binance.url}/polled+{binance.push_url},kraken=kraken+{kraken.url}/polled"
        yield binance, kraken, healthy | {"symbols_file": symbols, "exchanges": exchanges, "min_sources": 1}


def test_real_exchanges_are_well(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """Each is called for a symbol that it lists; its feed is listened to."""
    report = Report(run_doctor(**real_ones[2]))
    assert report.problems() == {}, report.text
    assert report.finding("exchange binance")[1].startswith("ethusdt is 3321.07")
    assert report.finding("exchange kraken")[1].startswith("btcusdt is")
    assert report.finding("feed binance")[1].startswith("pushes")
    assert [one["check"] for one in report.checks][-4:] == [
        *("exchange binance", "feed binance", "exchange kraken", "clock")
    ]


def test_a_time_of_receipt_does_not_check_the_clock(
    real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]],
) -> None:
    """It comes from the clock of this machine."""
    settings = real_ones[2]
    alone = str(settings["exchanges"]).partition(",")[2]
    assert Report(run_doctor(**settings | {"exchanges": alone})).problems() == {"clock": "warn"}


def test_a_feed_that_pushes_nothing(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """A warning, as the exchange is polled instead."""
    binance, _, settings = real_ones
    binance.mute = True
    report = Report(run_doctor(**settings, seconds=10))
    assert (report.code, report.problems()) == (1, {"feed binance": "warn"})
    assert "no young ticker" in report.finding("feed binance")[1]


def test_a_listing_that_cannot_be_read(real_ones: tuple[BinanceFeed, KrakenFeed, dict[str, object]]) -> None:
    """A separate warning with the reason, if the exchange answers otherwise."""
    _, kraken, settings = real_ones
    closed = kraken.rest.maintenance
    kraken.rest.fault = lambda request: closed(request) if "AssetPairs" in request.path else None
    report = Report(run_doctor(**settings))
    assert (report.code, report.problems()) == (1, {"listing kraken": "warn"})
    assert "maintenance" in report.finding("listing kraken")[1]
