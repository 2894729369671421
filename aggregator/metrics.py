"""Every metric's name, meaning and labels, in one place, on a registry that is passed in.

Where several processes serve one port, PROMETHEUS_MULTIPROC_DIR names the folder in which they count together, and
whichever is asked answers for all; `service/workers.py` sets it.

Labels are bounded: endpoints, tiers, exchanges, stores and reasons come from our own lists, and only hot assets are
named one by one. The names up to price_dynamodb_* are those of the dashboards people already have.
"""

import os
import shutil
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from aggregator.models import Asset, Tier

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name for it

BREAKER_STATES = {"closed": 0, "open": 1, "half-open": 2}

_API_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.1, 0.25, 0.5, 1, 2.5)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
# A healthy tier's prices are replaced at one interval, so the buckets are finest just above 5, 30 and 300 s.
_AGE_SECONDS = (
    0.5,
    1,
    2,
    5,
    5.25,
    5.5,
    6,
    7.5,
    10,
    15,
    30,
    31,
    33,
    36,
    45,
    60,
    90,
    150,
    300,
    301,
    303,
    315,
    330,
    450,
    600,
    1800,
)


class Metrics:
    """The service's metrics; `registry` gathers them for GET /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._flushes: list[Callable[[], None]] = []
        self._api()
        self._streams()
        self._exchanges()
        self._refresh()
        self._stores()
        self._answers_for = registry
        if SHARED_FOLDER in os.environ:
            self._answers_for = CollectorRegistry()
            MultiProcessCollector(self._answers_for)  # type: ignore[no-untyped-call]  # it has no types
            self._answers_for.register(_Processes())
        else:
            ProcessCollector(registry=registry)
        self._answers_for.register(_System())
        for kind in ("sse", "websocket"):
            self.stream_subscribers.labels(kind)
        # From zero on, as an alert on an increase cannot see a series that begins with its first loss.
        for tier in Tier:
            for counter in (self.outbox_refused, self.refresh_errors, self.refresh_missed):
                counter.labels(tier.value)

    def _api(self) -> None:
        self.api_requests = self._counter("price_api_requests_total", "Requests answered.", "endpoint", "status")
        self.api_seconds = self._histogram(
            "price_api_request_duration_seconds", "From request to last byte.", _API_SECONDS, "endpoint"
        )
        self.in_flight = Gauge(
            "price_api_requests_in_flight",
            "Requests under way, but for those answered from memory on the spot.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.connections_cut = self._counter(
            "price_api_connections_cut_total",
            "Connections ended by us: slow, head or body too large, unread, malformed, pipelined, too_many.",
            "reason",
        )
        self.cache_hits = self._counter("price_cache_hits_total", "Prices asked for that the cache had.")
        self.cache_misses = self._counter("price_cache_misses_total", "Prices asked for that the cache had not.")
        self.asset_access = self._counter(
            "price_asset_access_total",
            "Prices asked for; all but hot assets count as 'other'.",
            "asset",
            "tier",
        )

        self.loop_lag = self._histogram(
            "price_event_loop_lag_seconds", "How late the event loop does what is due.", _LAG_SECONDS
        )

    def _streams(self) -> None:
        self.stream_subscribers = Gauge(
            "price_stream_subscribers",
            "Streams open: sse (/stream) and websocket (/ws).",
            ["kind"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.stream_conflated = self._counter(
            "price_stream_conflated_total",
            "Prices not sent to a reader that had fallen behind, as a newer one of the same asset had come.",
        )
        self.stream_dropped = self._counter(
            "price_stream_dropped_total",
            "Streams ended by us: slow (what was sent was left unread), silent (no answer to pings), flood (messages"
            " beyond their bounds), expired, stopping.",
            "reason",
        )

    def _exchanges(self) -> None:
        self.exchange_requests = self._counter("price_exchange_requests_total", "Calls sent.", "exchange")
        self.exchange_errors = self._counter(
            "price_exchange_errors_total", "Calls that brought no ticker, or were not made.", "exchange", "error_type"
        )
        self.exchange_seconds = self._histogram(
            "price_exchange_request_duration_seconds", "From call to decoded ticker.", _CALL_SECONDS, "exchange"
        )
        self.breaker_state = self._gauge("price_circuit_breaker_state", "0 closed, 1 open, 2 half-open.", "exchange")
        self.exchange_quiet = self._gauge(
            "price_exchange_quiet_seconds",
            "For how much longer it is not asked because it has said so, as of the last call.",
            "exchange",
        )
        self.rejected_tickers = self._counter(
            "price_tickers_rejected_total", "Tickers that had no part in a price.", "exchange", "reason"
        )

    def _refresh(self) -> None:
        self.refreshes = self._counter(
            "price_refresh_total",
            "Refreshes that brought a price: by schedule (auto), for a read that found none"
            " (force), by POST /refresh (manual).",
            "tier",
            "trigger_type",
        )
        self.refresh_errors = self._counter("price_refresh_errors_total", "Refreshes that brought no price.", "tier")
        self.refresh_interval = self._gauge("price_refresh_interval_seconds", "As set.", "tier")
        self.refresh_missed = self._counter(
            "price_refresh_missed_total", "Scheduled refreshes left out because the one before was not done.", "tier"
        )
        self.jobs = self._counter(
            "price_jobs_total",
            "Jobs of a shared rota: taken, claimed from a dead refresher, outdated, or its own while Redis was away.",
            "tier",
            "how",
        )
        self.jobs_lag = self._gauge(
            "price_jobs_lag_seconds", "For how long the oldest unfinished job has been due.", "tier"
        )
        self.refresh_seconds = self._histogram(
            "price_refresh_duration_seconds",
            "From asking the exchanges to the last store.",
            _CALL_SECONDS,
            "tier",
        )
        self.tier_changes = self._counter(
            "price_tier_changes_total", "Assets that popularity has brought into a tier.", "tier"
        )
        self.age_at_replacement = self._histogram(
            "price_age_at_replacement_seconds", "Age of a price when its successor came.", _AGE_SECONDS, "tier"
        )

    def _stores(self) -> None:
        self.store_errors = self._counter("price_store_errors_total", "Store calls that failed.", "store", "reason")
        self.store_writes = self._counter("price_store_written_total", "Prices written.", "store")
        self.store_batch = self._histogram(
            "price_store_batch_prices", "Prices per write.", (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000), "store"
        )
        self.outbox_rows = self._gauge("price_outbox_rows", "Prices waiting for DynamoDB.")
        self.outbox_bytes = self._gauge("price_outbox_bytes", "Of the outbox's file that are in use.")
        self.outbox_oldest = self._gauge("price_outbox_oldest_age_seconds", "How long the oldest has been waiting.")
        self.outbox_refused = self._counter(
            "price_outbox_refused_total", "Waiting prices given up because the outbox was full.", "tier"
        )
        self.history_lost = self._counter(
            "price_history_lost_total", "Prices that neither the outbox nor, in its stead, DynamoDB took."
        )
        self.dead_letters = self._counter("price_dead_letters_added_total", "Prices DynamoDB refused for good.")
        self.dead_letters_held = self._gauge("price_dead_letters", "Dead letters not replayed or deleted yet.")
        self.dynamodb_write_seconds = self._histogram(
            "price_dynamodb_write_latency_seconds", "One BatchWriteItem.", _CALL_SECONDS
        )
        self.dynamodb_read_seconds = self._histogram("price_dynamodb_read_latency_seconds", "One Query.", _CALL_SECONDS)
        self.dynamodb_write_units = self._counter("price_dynamodb_write_units_total", "Consumed write capacity.")
        self.dynamodb_read_units = self._counter("price_dynamodb_read_units_total", "Consumed read capacity.")
        self.dynamodb_errors = self._counter("price_dynamodb_errors_total", "Calls that failed after their retries.")
        self.dynamodb_retries = self._counter("price_dynamodb_retries_total", "Items that had to be sent again.")

    def accesses_of(self, asset: Asset) -> Callable[[float], None]:
        """Return what counts reads of `asset`."""
        name = asset.symbol if asset.tier is Tier.HOT else "other"
        return self.asset_access.labels(name, asset.tier.value).inc

    def before_text(self, flush: Callable[[], None]) -> None:
        """Call `flush` whenever the metrics are asked for, so that nothing counted is missing."""
        self._flushes.append(flush)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        for flush in self._flushes:
            flush()
        return generate_latest(self._answers_for)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)


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
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(self._seconds)
        self._counts = [0] * len(self._bounds)
        self._seconds = 0.0


class _Processes(Collector):
    """The processes of one port together, under the names that one process has by itself."""

    def collect(self) -> list[Metric]:
        """Return their memory, processor time and open files as they are now."""
        parent = psutil.Process(os.getppid())
        memory, seconds, files = 0, 0.0, 0
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):  # it may end while we look
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    files += process.num_fds()
                seconds += times.user + times.system
        return [
            GaugeMetricFamily("process_resident_memory_bytes", "Of all processes together.", value=memory),
            CounterMetricFamily("process_cpu_seconds", "Of all processes together.", value=seconds),
            GaugeMetricFamily("process_open_fds", "Of all processes together.", value=files),
        ]


class _System(Collector):
    """The machine's load, read when it is asked for. CPU is the share since the last scrape."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the first reading only sets the mark the next one measures from

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the four gauges as they are now."""
        disk = GaugeMetricFamily("price_system_disk_usage_percent", "Used, of the whole disk.", labels=["path"])
        usage = shutil.disk_usage(".")
        disk.add_metric(["."], 100 * usage.used / usage.total)
        return [
            GaugeMetricFamily("price_system_cpu_usage_percent", "All cores.", value=psutil.cpu_percent()),
            GaugeMetricFamily("price_system_memory_usage_percent", "Of all.", value=psutil.virtual_memory().percent),
            disk,
        ]
