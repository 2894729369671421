"""The metrics of the archive. `dataset` is that of the archive, such as `trades`."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ArchiveMetrics:
    """Counters and gauges of the archiver, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "archive_rows_total",
            "Rows written to files of the archive, again ones included.",
            ["dataset"],
            registry=registry,
        )
        self.bytes = Counter(
            "archive_bytes_total", "Bytes of files written to the archive.", ["dataset"], registry=registry
        )
        self.errors = Counter(
            "archive_errors_total", "Writes to the archive that failed; they are tried again.", registry=registry
        )
        self.compacted = Counter(
            "archive_compactions_total", "Hours whose files were joined into one.", ["dataset"], registry=registry
        )
        self.lag = Gauge(
            "archive_lag_seconds",
            "How long the oldest complete range has waited to be archived; 0 while none waits.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.pending = Gauge(
            "archive_pending_ranges",
            "Ranges of time with events that the archive may lack, the current ones included.",
            registry=registry,
            multiprocess_mode="livesum",
        )
