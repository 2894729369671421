"""Candles are the same however the prices are divided into pages."""

from decimal import Decimal
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from aggregator.prices.candles import INTERVALS, Candle, CandleBuilder

points = st.lists(
    st.tuples(st.floats(0, 1e6).map(lambda seconds: round(seconds, 3)), st.decimals(1, 100, places=2)), max_size=80
).map(sorted)


def naive(prices: list[tuple[float, Decimal]], seconds: int) -> list[Candle]:
    """Compute candles from all prices at once."""
    found = []
    for start, group in groupby(prices, key=lambda point: point[0] // seconds * seconds):
        values = [price for _, price in group]
        found.append(Candle(start, values[0], max(values), min(values), values[-1], len(values)))
    return found


@given(points, st.sampled_from(sorted(INTERVALS.values())), st.integers(1, 10))
def test_candles_are_those_of_a_naive_computation(prices: list[tuple[float, Decimal]], seconds: int, page: int) -> None:
    """The builder agrees with the naive computation for any interval and page size."""
    builder = CandleBuilder(seconds)
    found: list[Candle] = []
    for start in range(0, len(prices), page):
        found += builder.add(prices[start : start + page])
    found += builder.finish()
    assert found == naive(prices, seconds)


def test_a_day_begins_at_midnight_utc() -> None:
    """One second before midnight UTC and midnight are two candles."""
    midnight = 1_696_118_400.0
    builder = CandleBuilder(INTERVALS["1d"])
    found = [*builder.add([(midnight - 0.001, Decimal(1)), (midnight, Decimal(2))]), *builder.finish()]
    assert [candle.start for candle in found] == [midnight - 86_400, midnight]


def test_no_prices_make_no_candles() -> None:
    """Without prices there is no candle; `finish` may be called twice."""
    builder = CandleBuilder(60)
    assert list(builder.add([])) == list(builder.finish()) == list(builder.finish()) == []
