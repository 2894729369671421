"""Bars are those of a naive computation, however they are cut and joined."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aggregator.prices.bars import NO_BARS, Bars, bars_of, joined, merged
from aggregator.prices.candles import INTERVALS
from tests.prices.test_candles import naive

points = st.lists(
    st.tuples(st.integers(0, 10**9).map(lambda at: at / 1000), st.integers(1, 10**6).map(lambda cents: cents / 100)),
    max_size=80,
    unique_by=lambda point: point[0],
).map(sorted)


def expected(prices: list[tuple[float, float]], seconds: int) -> list[list[float]]:
    """Return the naive candles as numbers."""
    candles = naive([(moment, Decimal(str(price))) for moment, price in prices], seconds)
    return [
        [one.start, float(one.open), float(one.high), float(one.low), float(one.close), one.count] for one in candles
    ]


@given(points, st.sampled_from(sorted(INTERVALS.values())))
def test_bars_are_those_of_a_naive_computation(prices: list[tuple[float, float]], seconds: int) -> None:
    """Computed from prices, or from the bars of a minute."""
    found = bars_of(prices, seconds)
    assert [list(bar) for bar in found] == expected(prices, seconds)
    assert merged(bars_of(prices, 60), seconds) == found


@given(points, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 20))
def test_a_cut_has_the_bars_that_begin_inside(
    prices: list[tuple[float, float]], one: int, two: int, count: int
) -> None:
    """`between` includes its start and excludes its end; joined cuts are the whole; `last` has the newest bars."""
    bars = bars_of(prices, 60)
    start, end = sorted((one, two))
    assert bars.between(start, end).starts == [moment for moment in bars.starts if start <= moment < end]
    assert joined([bars.between(0, start), bars.between(start, end), bars.between(end, 10**9)]) == bars
    assert bars.last(count).starts == (bars.starts[-count:] if count else [])


def test_columns() -> None:
    """Each column has one number of every bar."""
    bars = bars_of([(60, 2.0), (61, 5.0), (62, 1.0), (119, 3.0), (180, 7.0)], 60)
    assert (bars.starts, bars.opens, bars.highs, bars.lows, bars.closes) == (
        [60, 180],
        [2.0, 7.0],
        [5.0, 7.0],
        [1.0, 7.0],
        [3.0, 7.0],
    )
    assert (len(bars), len(NO_BARS), Bars() == NO_BARS) == (2, 0, True)
