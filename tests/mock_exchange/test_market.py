"""The market: pure functions, smooth paths, plausible prices."""

import itertools
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mock_exchange.market import Market, Pair, number
from mock_exchange.symbols import open_market
from tests.parts.limits import examples

ROOT = Path(__file__).parents[2]
NOW = 1_696_118_400.123
VENUES = ("exchange1", "exchange2", "exchange3")
MARKET = open_market(7, ROOT / "symbols.csv")
SYMBOLS = tuple(pair.symbol for pair in MARKET)

times = st.floats(min_value=1.5e9, max_value=2.5e9)
symbols = st.sampled_from(SYMBOLS)


@given(symbols, times)
def test_a_quote_depends_on_seed_venue_symbol_and_time_alone(symbol: str, t: float) -> None:
    """A new market returns the same digits as one that has computed many other quotes."""
    fresh = open_market_of(symbol)
    assert fresh.venue_ticker("exchange2", symbol, t) == MARKET.venue_ticker("exchange2", symbol, t)


def open_market_of(symbol: str) -> Market:
    """Return a market that lists only this pair."""
    pair = next(pair for pair in MARKET if pair.symbol == symbol)
    return Market(7, [pair], {asset: MARKET._path(asset).level for asset in pair[1:3]})


def test_another_process_gives_the_same_quote() -> None:
    """No quote depends on hash(), which differs between processes."""
    code = (
        "from pathlib import Path; from mock_exchange.symbols import open_market;"
        f"print(open_market(7, Path('symbols.csv')).venue_ticker('exchange1', 'ethbtc', {NOW}).price)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Decimal(answer.stdout.strip()) == MARKET.venue_ticker("exchange1", "ethbtc", NOW).price


def test_another_seed_is_another_market() -> None:
    """The seed determines both prices and volumes."""
    other = open_market(8, ROOT / "symbols.csv").venue_ticker("exchange1", "btcusdt", NOW)
    ours = MARKET.venue_ticker("exchange1", "btcusdt", NOW)
    assert other.price != ours.price
    assert other.volume != ours.volume


@given(symbols, times, st.floats(min_value=0.001, max_value=5.0))
@settings(max_examples=examples(300))
def test_prices_have_no_jumps(symbol: str, t: float, step: float) -> None:
    """No pair moves by more than 0.1 % per second, apart from rounding."""
    before, after = (float(MARKET.venue_ticker("exchange1", symbol, at).price) for at in (t, t + step))
    assert abs(math.log(after / before)) <= 0.001 * (step + 0.001) + 2e-6


def test_prices_move_within_seconds() -> None:
    """In most intervals of 5 seconds, the bitcoin price moves by dollars."""
    prices = [MARKET.venue_ticker("exchange1", "btcusdt", NOW + 5 * step).price for step in range(200)]
    moves = sorted(abs(after - before) for before, after in itertools.pairwise(prices))
    assert moves[20] > 0.5
    assert moves[100] > 5


@given(symbols, times)
def test_venues_agree_but_are_not_the_same(symbol: str, t: float) -> None:
    """The prices of three venues differ by less than 0.2 %; each has a volume of its own."""
    quotes = [MARKET.venue_ticker(venue, symbol, t) for venue in VENUES]
    prices = [quote.price for quote in quotes]
    assert (max(prices) - min(prices)) / min(prices) < Decimal("0.002")
    assert len({quote.volume for quote in quotes}) == 3
    assert max(quote.volume for quote in quotes) < 8 * min(quote.volume for quote in quotes)


@given(times)
def test_cross_rates_agree(t: float) -> None:
    """ETH/BTC is ETH/USDT divided by BTC/USDT."""
    assert math.isclose(MARKET.price("ethbtc", t), MARKET.price("ethusdt", t) / MARKET.price("btcusdt", t))


@given(times)
def test_levels_are_plausible(t: float) -> None:
    """Bitcoin costs about 80,000 dollars, shib about 0.000015, a dollar coin one dollar."""
    price = {
        symbol: MARKET.venue_ticker("exchange1", symbol, t).price for symbol in ("btcusdt", "shibusdt", "usdcusdt")
    }
    assert 70_000 < price["btcusdt"] < 90_000
    assert Decimal("0.00001") < price["shibusdt"] < Decimal("0.00002")
    assert abs(price["usdcusdt"] - 1) < Decimal("0.002")


def test_every_listed_pair_has_a_sane_quote() -> None:
    """No level is missing: price and turnover of each pair are within plausible bounds."""
    for pair in MARKET:
        price, volume = MARKET.venue_ticker("exchange1", pair.symbol, NOW)
        assert len(price.as_tuple().digits) <= 10
        assert len(volume.as_tuple().digits) <= 10
        assert Decimal("1e-10") < price < Decimal("1e9"), pair
        assert 1e4 < float(volume) * MARKET.usd(pair.base, NOW) < 1e10, pair


def test_an_asset_without_a_level() -> None:
    """An asset that is not in levels.csv has a price derived from its name, of about 0.01 to 10 dollars."""
    market = Market(1, [Pair("newusdt", "new", "usdt", 0)], {"usdt": 1.0})
    assert 0.009 < market.venue_ticker("exchange1", "newusdt", NOW).price < 11


def test_the_time_is_rounded_to_the_millisecond() -> None:
    """Two times that are equal in the answer have the same price."""
    assert MARKET.venue_ticker("v", "btcusdt", NOW) == MARKET.venue_ticker("v", "btcusdt", NOW + 0.0002)


def test_numbers_are_rounded_to_significant_digits() -> None:
    """Significant digits are counted, not decimals."""
    assert number(79850.1249, 7) == Decimal("79850.12")
    assert number(0.0000123456789, 3) == Decimal("0.0000123")
