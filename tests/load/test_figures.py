"""Percentiles, rates and thresholds, met and missed."""

import math

import pytest

from tests.load import figures
from tests.load.figures import TOTAL, Figures, Recorder

METRICS = """\
# TYPE price_cache_hits_total counter
price_cache_hits_total 190.0
price_cache_misses_total 10.0
price_cache_misses_total_created 1.7e9
"""


def row(requests: int, failures: int = 0) -> Figures:
    """Return figures of which only the counts matter."""
    return Figures(requests, failures, 1, 2, 3, 100.0)


def test_percentiles_are_times_that_were_measured() -> None:
    """A percentile is a measured time; without any it is infinity, which misses every threshold."""
    hundred = [float(number) for number in range(1, 101)]
    assert [figures.percentile(hundred, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert figures.percentile([7.0], 0.5) == 7
    assert figures.percentile([], 0.99) == math.inf
    assert figures.quantile("p99", math.inf, 1e9).held is False


def test_rows_add_up() -> None:
    """Each name has its own times; all use the duration of the whole run, from the first request to the last answer."""
    recorder = Recorder()
    for number in range(10):
        recorder.add("GET /a", 100.0 + number, 10.0, failed=False)
    recorder.add("GET /b", 109.0, 1000.0, failed=True)
    rows = recorder.figures()
    assert list(rows) == ["GET /a", "GET /b", TOTAL]
    assert (rows["GET /a"].requests, rows["GET /a"].failures, rows["GET /a"].p99_ms) == (10, 0, 10)
    assert (rows[TOTAL].requests, rows[TOTAL].failures, rows[TOTAL].p99_ms) == (11, 1, 1000)
    assert rows["GET /a"].requests_per_second == pytest.approx(1.0)
    assert rows[TOTAL].requests_per_second == pytest.approx(1.1)


def test_nothing_measured_is_no_success() -> None:
    """A run without requests misses every threshold on them, and has null in the file."""
    rows = Recorder().figures()
    total = rows[TOTAL]
    assert figures.errors(total, 0.1).held is False
    assert figures.quantile("p95", total.p95_ms, 80).held is False
    assert figures.rate(total, 1).held is False
    assert figures.as_json(rows)[TOTAL]["p99_ms"] is None


def test_errors_are_below_their_bound() -> None:
    """A share of errors equal to its bound is a miss."""
    assert figures.errors(row(1001, 1), 0.1).held
    assert figures.errors(row(1000, 1), 0.1).held is False


def test_cache_hits_are_those_of_the_run() -> None:
    """Only cache hits and misses of the run count."""
    after = figures.cache_counters(METRICS)
    assert after == {"price_cache_hits_total": 190, "price_cache_misses_total": 10}
    zero = dict.fromkeys(after, 0.0)
    assert figures.hits(zero, after, 95).held
    assert figures.hits(zero, after, 95.1).held is False
    assert figures.hits(after | {"price_cache_misses_total": 0}, after, 1).held is False


def test_cache_hits_that_nobody_counted() -> None:
    """Without metrics, or without look-ups, the cache threshold is not measured: neither met nor missed."""
    counted = figures.cache_counters(METRICS)
    for before, after in (({}, {}), ({}, counted), (counted, {}), (counted, counted)):
        verdict = figures.hits(before, after, 95)
        assert verdict.held is None
        assert str(verdict).endswith("not measured")
    assert figures.cache_counters("up 1\nprice_cache_hits_total 1\n") == {}
