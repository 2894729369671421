"""Percentiles of latencies: by the number of trades, over the last minute."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.trades.latencies import LatencyWindow
from tests.parts.clock import Clock

WEIGHTED = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=30)


def window(*measured: tuple[float, int]) -> LatencyWindow:
    """Return a window with these latencies and their weights."""
    found = LatencyWindow(Clock())
    for seconds, weight in measured:
        found.add(seconds, weight)
    return found


def test_nothing_measured() -> None:
    """Without a measurement there is no percentile."""
    assert window().percentiles(0.5, 0.99) == (None, None)


def test_one_measurement() -> None:
    """A single measurement is every percentile."""
    assert window((0.25, 7)).percentiles(0.0, 0.5, 0.99, 1.0) == (0.25,) * 4


def test_a_large_batch_counts_as_its_trades() -> None:
    """A hundred batches of one trade were fast; one batch of 9,900 trades was slow: so was the median trade."""
    assert window(*[(0.001, 1)] * 100, (0.5, 9900)).percentiles(0.01, 0.011, 0.5) == (0.001, 0.5, 0.5)


@given(WEIGHTED, st.lists(st.integers(1, 8), min_size=1, max_size=4))
def test_percentiles_by_their_definition(measured: list[tuple[int, int]], shares: list[int]) -> None:
    """The smallest latency that at least this share of the trades had at most, whatever the order of measuring."""
    each = sorted(seconds for seconds, weight in measured for _ in range(weight))
    expected = [each[-(-share * len(each) // 8) - 1] for share in sorted(shares)]
    assert list(window(*measured).percentiles(*(share / 8 for share in sorted(shares)))) == expected


def test_only_the_last_minute_counts() -> None:
    """A latency counts for sixty seconds."""
    clock = Clock()
    found = LatencyWindow(clock)
    found.add(5.0, 1)
    clock.now += 60
    found.add(1.0, 1)
    assert found.percentiles(1.0) == (5.0,)
    clock.now += 0.001
    assert found.percentiles(1.0) == (1.0,)
    clock.now += 60
    assert found.percentiles(1.0) == (None,)


def test_only_the_newest_measurements_are_kept() -> None:
    """Of more than 4,096 measurements in a minute the newest count, so that memory is bounded."""
    assert window((9.0, 1_000_000), *[(1.0, 1)] * 4096).percentiles(1.0) == (1.0,)
    assert window((9.0, 1_000_000), *[(1.0, 1)] * 4095).percentiles(1.0) == (9.0,)
