"""A gauge whose series can end, also where several processes share their metrics.

prometheus_client cannot remove a series from the files that processes share. There an ended series becomes NaN, and
`WithoutEnded` leaves it out of a scrape.
"""

import math
from collections.abc import Iterable
from typing import Protocol

from prometheus_client import Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector


class EndingGauge:
    """Sets the series of a gauge by their labels, and ends them. `is_shared`: several processes share their metrics."""

    def __init__(self, gauge: Gauge, *, is_shared: bool) -> None:
        self._gauge = gauge
        self._series: dict[tuple[str, ...], Gauge] = {}
        self._is_shared = is_shared

    def set(self, labels: tuple[str, ...], value: float) -> None:
        """Set a series; it begins if there is none."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._gauge.labels(*labels)
        series.set(value)

    def end(self, labels: tuple[str, ...]) -> None:
        """End a series, if there is one."""
        series = self._series.pop(labels, None)
        if series is None:
            return
        if self._is_shared:
            series.set(math.nan)
        else:
            self._gauge.remove(*labels)


class Collects(Protocol):
    """A collector. prometheus_client's for several processes is no subclass of its `Collector`."""

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""


class WithoutEnded(Collector):
    """The metrics of another collector without the samples that are NaN."""

    def __init__(self, inner: Collects) -> None:
        self._inner = inner

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        for metric in self._inner.collect():
            metric.samples = [sample for sample in metric.samples if not math.isnan(sample.value)]
            yield metric
