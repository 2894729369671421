"""A histogram's observations, summed up in plain numbers and added to Prometheus' histogram in batches.

Uses private parts of prometheus-client, whose histograms have no method to add many observations at once;
`tests/api/server/test_private_names.py` lists them.
"""

from bisect import bisect_left

from prometheus_client import Histogram


class Durations:
    """The buffered observations of one histogram (one that has its labels)."""

    def __init__(self, histogram: Histogram) -> None:
        self._bounds = histogram._upper_bounds  # noqa: SLF001  # the bounds have no public name
        self._buckets = histogram._buckets  # noqa: SLF001  # counts of many samples are added at once
        self._sum = histogram._sum  # noqa: SLF001  # the sum of many samples is added at once
        self._counts = [0] * len(self._bounds)
        self._seconds = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Add an observation `times` times, in a tenth of the time of `Histogram.observe`; the next flush shows it."""
        self._counts[bisect_left(self._bounds, seconds)] += times
        self._seconds += seconds * times

    def flush(self) -> None:
        """Add the buffered observations to the histogram and start again from zero."""
        if not any(self._counts):
            return
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(self._seconds)
        self._counts = [0] * len(self._bounds)
        self._seconds = 0.0
