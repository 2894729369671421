"""The metrics of what analytics find. `topic` is anomalies, signals, sentiment or alerts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class EventMetrics:
    """Counters and gauges of stored events, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stored = Counter(
            "analytics_events_stored_total", "Events of analytics stored and published.", ["topic"], registry=registry
        )
        self.dropped = Counter(
            "analytics_events_dropped_total",
            "Events of analytics neither stored nor published: too many waited, the store refused them, or the process"
            " stopped before the store took them.",
            ["topic"],
            registry=registry,
        )
        self.waiting = Gauge(
            "analytics_events_waiting",
            "Events of analytics that wait for the store.",
            ["topic"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.store_errors = Counter(
            "analytics_store_errors_total",
            "Calls of the store of events and positions that failed, by reason.",
            ["reason"],
            registry=registry,
        )
        self.store_errors.labels("unavailable")
