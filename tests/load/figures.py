"""What was measured, and whether it is what was asked. Times are milliseconds, ratios percent.

No locust in here: importing it patches the whole process, which the tests of this file must be spared.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

TOTAL = "total"


@dataclass(frozen=True)
class Figures:
    """One row: a name's requests, or all of them. With no request at all the times are infinite, as none came back."""

    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float


@dataclass(frozen=True)
class Threshold:
    """One thing asked for and what was measured; `held` is None where it could not be measured."""

    what: str
    asked: str
    measured: str
    held: bool | None

    def __str__(self) -> str:
        verdict = {True: "held", False: "MISSED", None: "not measured"}[self.held]
        return f"load: {self.what} {self.asked}: {self.measured}, {verdict}"


@dataclass
class Recorder:
    """Every request's time, to the microsecond.

    Locust rounds its own to whole milliseconds, and above 100 ms to two digits: too coarse to compare two servers that
    both answer within a few.
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
        """Return a row for each name and one for the total; a name's requests/s are over the whole run, too."""
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
    """Return the smallest value that at least `share` of them do not exceed; infinity when there are none."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.inf


def errors(total: Figures, most_percent: float) -> Threshold:
    """Compare the share of failures; no requests at all are no success."""
    percent = 100 * total.failures / total.requests if total.requests else 100.0
    measured = f"{percent:.3g} % ({total.failures:,} of {total.requests:,})"
    return Threshold("errors", f"< {most_percent:g} %", measured, percent < most_percent)


def quantile(what: str, milliseconds: float, most: float) -> Threshold:
    """Compare a percentile."""
    return Threshold(what, f"< {most:g} ms", f"{milliseconds:.2f} ms", milliseconds < most)


def rate(total: Figures, least: float) -> Threshold:
    """Compare requests/s."""
    measured = total.requests_per_second
    return Threshold("rate", f">= {least:g} requests/s", f"{measured:,.0f} requests/s", measured >= least)


def hits(before: Mapping[str, float], after: Mapping[str, float], least_percent: float) -> Threshold:
    """Compare the cache's hits among its look-ups between two readings; without both there is nothing to compare."""
    asked = f">= {least_percent:g} %"
    hit, miss = (after.get(name, 0) - before.get(name, 0) for name in CACHE_SERIES)
    if not (before and after) or hit + miss <= 0:
        return Threshold("cache hits", asked, "/metrics tells nothing of the cache", held=None)
    percent = 100 * hit / (hit + miss)
    measured = f"{percent:.2f} % ({hit:,.0f} of {hit + miss:,.0f})"
    return Threshold("cache hits", asked, measured, percent >= least_percent)


CACHE_SERIES = ("price_cache_hits_total", "price_cache_misses_total")


def cache_counters(metrics: str) -> dict[str, float]:
    """Return the two cache counters from Prometheus' text format; nothing unless both are there."""
    found = dict(_series(metrics.splitlines()))
    return found if len(found) == len(CACHE_SERIES) else {}


def _series(lines: Iterable[str]) -> Iterable[tuple[str, float]]:
    for line in lines:
        name, _, value = line.partition(" ")
        if name in CACHE_SERIES:
            yield name, float(value)


def as_json(rows: Mapping[str, Figures]) -> dict[str, dict[str, float | None]]:
    """Return rows for a file; what has no time is null there, as JSON knows no infinity."""
    return {
        name: {key: value if math.isfinite(value) else None for key, value in asdict(row).items()}
        for name, row in rows.items()
    }
