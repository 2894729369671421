"""Counting what is answered from memory, at a cost that does not show."""

import asyncio

from aggregator.models import Asset
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.durations import Durations
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts

_SECONDS = 0.1  # between two times of handing on


class BufferedMetrics:
    """Counts in plain numbers and hands them on ten times a second, and whenever the metrics are asked for.

    Each of Prometheus' counters takes a lock and, among workers, a write to a file; an answer adds to seven of them.
    """

    def __init__(self, metrics: Metrics, accesses: AccessCounts, ages: FreshnessMetrics) -> None:
        self._accesses = accesses
        self._ages = ages
        self._hits = (metrics.cache_hits, metrics.reads.labels("near"))
        self._statuses = (metrics.api_requests.labels("/prices", "200"), metrics.api_requests.labels("/prices", "304"))
        self._durations = Durations(metrics.api_seconds.labels("/prices"))
        self._counts = [0, 0]
        self._reads: dict[str, int] = {}
        self._assets: dict[str, Asset] = {}
        metrics.before_text(self.flush)

    def add(self, asset: Asset, seconds: float, age: float, *, not_modified: bool) -> None:
        """Count an answer, 304 or 200: the seconds it took, and the age of its price."""
        symbol = asset.symbol
        self._assets[symbol] = asset
        self._reads[symbol] = self._reads.get(symbol, 0) + 1
        self._counts[not_modified] += 1
        self._durations.add(seconds)
        self._ages.add(asset.tier, age)

    def flush(self) -> None:
        """Hand on what has been counted."""
        reads, self._reads = self._reads, {}
        for symbol, count in reads.items():
            self._accesses.record(self._assets[symbol], count)
        for counter, count in zip(self._statuses, self._counts, strict=True):
            counter.inc(count)
        for hits in self._hits:
            hits.inc(sum(self._counts))
        self._counts = [0, 0]
        self._durations.flush()
        self._ages.flush()

    async def run(self) -> None:
        """Hand on from time to time; never returns."""
        while True:
            await asyncio.sleep(_SECONDS)
            if self._reads:
                self.flush()
