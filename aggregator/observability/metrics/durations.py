"""Observations in plain numbers, for those that are too many to be handed to Prometheus one by one."""

from bisect import bisect_left

from prometheus_client import Histogram


class Durations:
    """Observations of one histogram, added up before they are handed on; it has no way of its own to take many."""

    def __init__(self, histogram: Histogram) -> None:
        self._bounds = histogram._upper_bounds  # noqa: SLF001  # as said: it has no way of its own to take many
        self._buckets = histogram._buckets  # noqa: SLF001  # likewise
        self._sum = histogram._sum  # noqa: SLF001  # likewise
        self._counts = [0] * len(self._bounds)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """As `Histogram.observe`, in a tenth of the time."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        """Hand on."""
        if not any(self._counts):
            return
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(self._seconds)
        self._counts = [0] * len(self._bounds)
        self._seconds = 0.0
