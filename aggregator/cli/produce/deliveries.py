"""Counts of delivery reports, and the percentiles of their latencies. Pure."""

import math
from collections import Counter

_SMALLEST = 1e-5  # seconds: the first bucket has all latencies up to it
_GROWTH = math.log(1.02)  # each bucket is 2 % wider than the one before, so a percentile is at most 2 % too high


class Latencies:
    """A histogram of latencies in seconds, whose size does not depend on their number."""

    def __init__(self) -> None:
        self._buckets = Counter[int]()
        self._total = 0

    def add(self, seconds: float) -> None:
        """Count a latency."""
        self._buckets[math.ceil(math.log(max(seconds, _SMALLEST) / _SMALLEST) / _GROWTH)] += 1
        self._total += 1

    def percentile(self, share: float) -> float | None:
        """Return the seconds that this share (0 to 1) of the latencies are at most; None without any."""
        passed = 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed >= share * self._total:
                return float(_SMALLEST * math.exp(bucket * _GROWTH))
        return None


class Deliveries:
    """The trades that were handed to the producer, and the reports on them."""

    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self.failures = Counter[str]()
        self.latencies = Latencies()

    @property
    def failed(self) -> int:
        """The number of trades that were not delivered."""
        return self.failures.total()

    @property
    def unreported(self) -> int:
        """The number of trades without a report."""
        return self.sent - self.delivered - self.failed

    def report(self, failure: str, seconds: float) -> None:
        """Count the report on a trade: why it was not delivered, empty if it was, and its latency."""
        if failure:
            self.failures[failure] += 1
        else:
            self.delivered += 1
            self.latencies.add(seconds)
