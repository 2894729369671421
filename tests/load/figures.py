"""The measured figures and the thresholds. Times are in milliseconds, ratios in percent.

This module does not import locust, which would patch the whole process of the tests.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

TOTAL = "total"


@dataclass(frozen=True)
class Figures:
    """One row: the requests of one name, or all of them. Without requests the times are infinite."""

    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float


@dataclass(frozen=True)
class Threshold:
    """A threshold and its measured value; `held` is None when it could not be measured."""

    what: str
    asked: str
    measured: str
    held: bool | None

    def __str__(self) -> str:
        verdict = {True: "held", False: "MISSED", None: "not measured"}[self.held]
        return f"load: {self.what} {self.asked}: {self.measured}, {verdict}"


@dataclass
class Recorder:
    """Records the time of every request in microseconds.

    Locust rounds to whole milliseconds, and to two digits above 100 ms: too coarse to compare two servers that both
    answer within a few milliseconds.
    """

    times: dict[str, "array[float]"] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    first: float = math.inf
    last: float = -math.inf

    def add(self, name: str, started: float, milliseconds: float, *, failed: bool) -> None:
        """Record a request that was sent at `started`, in unix seconds."""
        self.times.setdefault(name, array("d")).append(milliseconds)
        self.failures[name] = self.failures.get(name, 0) + failed
        self.first = min(self.first, started)
        self.last = max(self.last, started + milliseconds / 1000)

    def figures(self) -> dict[str, Figures]:
        """Return a row per name and a total; the requests/s of a name are over the whole run, too."""
        rows = {name: self._row(times, self.failures[name]) for name, times in sorted(self.times.items())}
        everything = array("d", (one for times in self.times.values() for one in times))
        return rows | {TOTAL: self._row(everything, sum(self.failures.values()))}

    def _row(self, times: Sequence[float], failures: int) -> Figures:
        seconds = self.last - self.first
        rate = len(times) / seconds if seconds > 0 else 0.0
        ordered = sorted(times)
        p50, p95, p99 = (percentile(ordered, share) for share in (0.50, 0.95, 0.99))
        return Figures(len(times), failures, p50, p95, p99, rate)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; infinity without values."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.inf


def errors(total: Figures, most_percent: float) -> Threshold:
    """Judge the share of failures; a run without requests misses the threshold."""
    percent = 100 * total.failures / total.requests if total.requests else 100.0
    measured = f"{percent:.3g} % ({total.failures:,} of {total.requests:,})"
    return Threshold("errors", f"< {most_percent:g} %", measured, percent < most_percent)


def quantile(what: str, milliseconds: float, most: float) -> Threshold:
    """Judge a percentile."""
    return Threshold(what, f"< {most:g} ms", f"{milliseconds:.2f} ms", milliseconds < most)


def rate(total: Figures, least: float) -> Threshold:
    """Judge requests/s."""
    measured = total.requests_per_second
    return Threshold("rate", f">= {least:g} requests/s", f"{measured:,.0f} requests/s", measured >= least)


def hits(before: Mapping[str, float], after: Mapping[str, float], least_percent: float) -> Threshold:
    """Judge the cache's hit ratio between two readings of its counters; not measured when one is missing."""
    asked = f">= {least_percent:g} %"
    hit, miss = (after.get(name, 0) - before.get(name, 0) for name in CACHE_SERIES)
    if not (before and after) or hit + miss <= 0:
        return Threshold("cache hits", asked, "/metrics tells nothing of the cache", held=None)
    percent = 100 * hit / (hit + miss)
    measured = f"{percent:.2f} % ({hit:,.0f} of {hit + miss:,.0f})"
    return Threshold("cache hits", asked, measured, percent >= least_percent)


CACHE_SERIES = ("price_cache_hits_total", "price_cache_misses_total")


def cache_counters(metrics: str) -> dict[str, float]:
    """Return the two cache counters from Prometheus' text format; an empty dict unless both are there."""
    found = dict(_series(metrics.splitlines()))
    return found if len(found) == len(CACHE_SERIES) else {}


def _series(lines: Iterable[str]) -> Iterable[tuple[str, float]]:
    for line in lines:
        name, _, value = line.partition(" ")
        if name in CACHE_SERIES:
            yield name, float(value)


def as_json(rows: Mapping[str, Figures]) -> dict[str, dict[str, float | None]]:
    """Return the rows for a JSON file, with null for infinite times."""
    return {
        name: {key: value if math.isfinite(value) else None for key, value in asdict(row).items()}
        for name, row in rows.items()
    }
