"""Metrics of the fast path, counted in plain numbers and added to Prometheus' metrics in batches."""

import asyncio

from aggregator.models import Asset
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.durations import Durations
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts

_FLUSH_SECONDS = 0.1  # between two flushes


class BufferedMetrics:
    """Counts the fast path's responses; flushes ten times a second, and before every scrape of /metrics.

    A Prometheus counter takes a lock for each increment and, with several workers, writes to a file. One response
    increments seven of them.
    """

    def __init__(self, metrics: Metrics, accesses: AccessCounts, ages: FreshnessMetrics) -> None:
        self._accesses = accesses
        self._ages = ages
        self._hits = (metrics.cache_hits, metrics.reads.labels("near"))
        self._statuses = (metrics.api_requests.labels("/prices", "200"), metrics.api_requests.labels("/prices", "304"))
        self._durations = Durations(metrics.api_seconds.labels("/prices"))
        self._counts = [0, 0]  # in the order of `_statuses`
        self._reads: dict[str, int] = {}
        self._assets: dict[str, Asset] = {}
        self._others: dict[str, _Requests] = {}  # by metric label
        self._metrics = metrics
        metrics.before_text(self.flush)

    def add(self, asset: Asset, seconds: float, age: float, *, not_modified: bool) -> None:
        """Count one response (304 if `not_modified`, else 200): its duration and its price's age, both in seconds."""
        symbol = asset.symbol
        self._assets[symbol] = asset
        self._reads[symbol] = self._reads.get(symbol, 0) + 1
        self._counts[not_modified] += 1
        self._durations.add(seconds)
        self._ages.add(asset.tier, age)

    def add_other(self, label: str, seconds: float) -> None:
        """Count one response 200 of a route that answers no prices; `label` is the route's label in the metrics."""
        requests = self._others.get(label)
        if requests is None:
            requests = self._others[label] = _Requests(self._metrics, label)
        requests.count += 1
        requests.durations.add(seconds)

    def flush(self) -> None:
        """Add the counts to Prometheus' metrics and start again from zero."""
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
        for requests in self._others.values():
            requests.flush()

    async def run(self) -> None:
        """Flush every 0.1 s; never returns."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            if self._reads or any(requests.count for requests in self._others.values()):
                self.flush()


class _Requests:
    """The responses 200 of one route since the last flush."""

    def __init__(self, metrics: Metrics, label: str) -> None:
        self.count = 0
        self.durations = Durations(metrics.api_seconds.labels(label))
        self._status = metrics.api_requests.labels(label, "200")

    def flush(self) -> None:
        """Add the counts to Prometheus' metrics and start again from zero."""
        self._status.inc(self.count)
        self.durations.flush()
        self.count = 0
