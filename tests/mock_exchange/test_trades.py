"""Trades: arrivals, shares of pairs, prices and volumes. Seed and times are fixed, so no test depends on chance."""

import itertools
import json
import math
from collections import Counter
from decimal import Decimal
from functools import cache
from pathlib import Path
from statistics import fmean, median

import pytest

from mock_exchange.market import DAY
from mock_exchange.symbols import open_market
from mock_exchange.trades import (
    BLOCKS,
    MEAN_FACTOR,
    MOST_BEHIND,
    MOST_PER_SECOND,
    TICK,
    Trade,
    TradeMaker,
    block_at,
    blocks_to_make,
)

MARKET = open_market(7, Path(__file__).parents[2] / "symbols.csv")
HOUR = 1_764_399_600  # unix seconds of a full hour
QUIET = HOUR + 600
MAKER = TradeMaker(7, "exchange1", MARKET)


def same(t: float) -> float:
    """Return the time of a venue whose clock is right."""
    return t


def traded(start: float, seconds: float, factor: float = 1.0, maker: TradeMaker = MAKER) -> list[Trade]:
    """Return the trades of some seconds."""
    blocks = range(block_at(start), block_at(start + seconds))
    return [trade for block in blocks for trade in maker.made(block, factor, same)]


@cache
def quiet_trades() -> list[Trade]:
    """Return the trades of 1,000 seconds outside of opens."""
    return traded(QUIET, 1000)


def within(count: float, mean: float) -> bool:
    """Return whether a count is within six standard deviations of the mean of a Poisson distribution."""
    return abs(count - mean) < 6 * math.sqrt(mean)


def test_the_rate() -> None:
    """A venue makes 20 trades a second, or as many as it was told."""
    assert within(len(quiet_trades()), 20_000)
    assert within(len(traded(QUIET, 20, maker=TradeMaker(7, "exchange1", MARKET, 300))), 6_000)


def test_opens() -> None:
    """In the first two minutes of an hour there are three times as many."""
    assert within(len(traded(HOUR - 120, 120)), 2_400)
    assert within(len(traded(HOUR, 120)), 7_200)
    assert within(len(traded(HOUR + 120, 120)), 2_400)


def test_a_factor() -> None:
    """The rate is multiplied, up to a bound for all settings together."""
    assert within(len(traded(QUIET, 20, factor=10)), 4_000)
    assert traded(QUIET, 20, factor=0) == []
    assert traded(QUIET, 20, maker=TradeMaker(7, "exchange1", MARKET, 0)) == []
    busiest = TradeMaker(7, "exchange1", MARKET, MOST_PER_SECOND)
    assert within(len(traded(HOUR, 1, factor=1000, maker=busiest)), MOST_PER_SECOND)


def test_arrivals_are_a_poisson_process() -> None:
    """Gaps are exponential, also across blocks: a share of exp(-x) is longer than x times the mean."""
    times = [trade.timestamp for trade in quiet_trades()]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for multiple in (0.5, 1, 2, 4):
        share = math.exp(-multiple)
        longer = sum(gap > multiple / 20 for gap in gaps)
        assert within(longer, share * len(gaps)), multiple


def test_ids_and_times_grow() -> None:
    """Ids are unique and grow with time, within the block and from block to block; times are in their block."""
    found = quiet_trades()
    assert all(before.id < after.id for before, after in itertools.pairwise(found))
    assert all(before.timestamp <= after.timestamp for before, after in itertools.pairwise(found))
    for block in range(block_at(QUIET), block_at(QUIET + 5)):
        assert all(block <= trade.timestamp * BLOCKS < block + 1 for trade in MAKER.made(block, 1, same))


def test_shares_of_pairs() -> None:
    """The pair of row n has 1/n of the trades of the first one: some a second, or some an hour."""
    counts = Counter(trade.symbol for trade in quiet_trades())
    symbols = [pair.symbol for pair in MARKET]
    total = sum(1 / row for row in range(1, len(symbols) + 1))
    for row in (1, 2, 5, 10, 50):
        assert within(counts[symbols[row - 1]], 20_000 / total / row), row
    assert within(sum(counts[symbol] for symbol in symbols[500:]), 20_000 / total * math.log(2))
    assert 2 < counts[symbols[0]] / 1000 < 4
    assert 5 < 3600 * 20 / total / len(symbols) < 15


def test_prices_are_those_of_the_venue() -> None:
    """A buyer pays a little more than the venue's price at the time, a seller gets a little less; half of them buy."""
    distances = {"buy": [0.0], "sell": [0.0]}
    for trade in quiet_trades()[:2000]:
        price, _ = MARKET.venue_figures("exchange1", trade.symbol, trade.timestamp)
        distances[trade.side].append(math.log(float(trade.price) / price))
    rounding = 1e-6
    assert min(distances["buy"]) > -rounding
    assert max(distances["sell"]) < rounding
    assert max(map(abs, distances["buy"] + distances["sell"])) < 6 * TICK
    assert within(len(distances["buy"]), 1000)


def test_volumes_add_up_to_those_of_the_ticker() -> None:
    """With the mean rate, a day's trades have the 24-hour volume; a few large ones have most of it."""
    for symbol in ("btcusdt", "ethusdt"):
        volumes = [float(trade.volume) for trade in quiet_trades() if trade.symbol == symbol]
        day = float(MARKET.venue_ticker("exchange1", symbol, QUIET).volume)
        assert 0.75 < sum(volumes) * DAY / 1000 * MEAN_FACTOR / day < 1.25
        assert median(volumes) < fmean(volumes) / 2
        assert max(volumes) > 10 * fmean(volumes)


def test_volumes_follow_turnover_not_rate() -> None:
    """With ten times the rate as a setting, a trade is a tenth as large; a burst has trades of the usual size."""
    often = traded(QUIET, 20, maker=TradeMaker(7, "exchange1", MARKET, 200))
    burst = traded(QUIET, 20, factor=10)
    assert [trade.timestamp for trade in often] == [trade.timestamp for trade in burst]
    for small, large in zip(often, burst, strict=True):
        assert math.isclose(float(large.volume), 10 * float(small.volume), rel_tol=1e-4)


def test_trades_depend_on_seed_venue_and_time_alone() -> None:
    """A maker that begins later makes the same; another venue or seed makes others."""
    block = block_at(QUIET + 100)
    made = [trade for number in range(block, block + 20) for trade in MAKER.made(number, 1, same)]
    assert made
    assert traded(QUIET + 100, 1, maker=TradeMaker(7, "exchange1", MARKET)) == made
    assert traded(QUIET + 100, 1, maker=TradeMaker(7, "exchange2", MARKET)) != made
    assert traded(QUIET + 100, 1, maker=TradeMaker(8, "exchange1", MARKET)) != made


def test_the_venue_s_clock() -> None:
    """A trade has the time of the venue's clock, and the price of that time."""
    ahead = [trade for block in range(100) for trade in MAKER.made(block_at(QUIET) + block, 1, lambda t: t + 3600)]
    right = traded(QUIET, 5)
    assert [trade.timestamp - 3600 for trade in ahead] == pytest.approx([trade.timestamp for trade in right], abs=1e-5)
    assert [trade.id for trade in ahead] == [trade.id for trade in right]
    for trade in ahead:
        price, _ = MARKET.venue_figures("exchange1", trade.symbol, trade.timestamp)
        assert abs(math.log(float(trade.price) / price)) < 6 * TICK


def test_json() -> None:
    """Numbers are written out, the time has microseconds, the id is text; a text can stand in place of the price."""
    trade = Trade(352880000000000007, "shibusdt", Decimal("1.5e-5"), Decimal("1e6"), "sell", 1_764_400_000.1234561)
    assert trade.json() == (
        '{"id":"352880000000000007","symbol":"shibusdt","price":0.000015,"volume":1000000,"side":"sell",'
        '"timestamp":1764400000.123456}'
    )
    assert json.loads(trade.json("-1"))["price"] == -1
    assert '"price":1e,' in trade.json("1e")


def test_blocks_are_made_once_each() -> None:
    """Those that have ended; after a long pause the last ones; anew after the clock was set back by much."""
    assert blocks_to_make(100, 100) == range(100, 100)
    assert blocks_to_make(100, 103) == range(100, 103)
    assert blocks_to_make(100, 1000) == range(1000 - MOST_BEHIND, 1000)
    assert blocks_to_make(1000, 1000 - MOST_BEHIND) == range(1000, 1000)
    assert blocks_to_make(1000, 10) == range(10, 10)
