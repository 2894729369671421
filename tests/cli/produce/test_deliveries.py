"""Counts of delivery reports, and percentiles of latencies."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from aggregator.cli.produce.deliveries import Deliveries, Latencies


@given(
    latencies=st.lists(st.floats(1e-5, 100), min_size=1, max_size=200),
    share=st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
def test_percentiles_are_at_most_two_percent_too_high(latencies: list[float], share: float) -> None:
    """Compared with the sorted list."""
    histogram = Latencies()
    for seconds in latencies:
        histogram.add(seconds)
    exact = sorted(latencies)[ceil(round(share * len(latencies), 9)) - 1]
    found = histogram.percentile(share)
    assert found is not None
    assert exact * 0.999999 <= found <= exact * 1.021


def test_no_latency_has_no_percentile() -> None:
    """None, not 0."""
    assert Latencies().percentile(0.5) is None


def test_every_trade_is_counted_once() -> None:
    """As delivered, as failed under its reason, or as without a report."""
    counts = Deliveries()
    counts.sent = 5
    counts.report("", 0.001)
    counts.report("timed out", 0.0)
    counts.report("timed out", 0.0)
    assert (counts.delivered, counts.failed, counts.unreported) == (1, 2, 2)
    assert counts.failures == {"timed out": 2}
