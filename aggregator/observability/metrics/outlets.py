"""The metrics of outlets. `outlet` is the name of one, of which the settings bound the number."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aggregator.observability.metrics import buckets

LOST = ("prices", "rest", "all")
"""The values of `topic` under which lost events are counted; `all` are those of an outlet that has ended."""

_LABEL = ("outlet",)


class OutletMetrics:
    """Counters, gauges and histograms of outlets, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels or _LABEL, registry=registry)

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, _LABEL, registry=registry, multiprocess_mode="livemax")

        self.handed = counter("outlet_events_handed_total", "Events written to the outbox of outlets.")
        self.delivered = counter("outlet_events_delivered_total", "Events that the outlet has taken.")
        self.repeated = counter(
            "outlet_events_deduplicated_total", "Events not sent, as their key waited or was sent within 300 s."
        )
        self.retries = counter("outlet_retries_total", "Events to be sent again, as the outlet was away or throttled.")
        self.unsure = counter(
            "outlet_events_unsure_total",
            "Events sent again although the outlet may have taken them, as its answer was lost: they may arrive twice.",
        )
        self.refused = counter("outlet_dead_letters_added_total", "Events that the outlet refused three times.")
        self.lost = counter(
            "outlet_events_given_up_total",
            "Events given up: the file of the outbox was full or failed, or the outlet has ended.",
            "topic",
        )
        self.waiting = gauge("outlet_events_waiting", "Events that wait for the outlet.")
        self.oldest = gauge("outlet_oldest_age_seconds", "How long the oldest event has waited for the outlet.")
        self.away = gauge("outlet_away", "1 while the outlet is away or throttles, 2 once it has ended, else 0.")
        self.sending = gauge("outlet_sending", "1 while this process sends to the outlet; otherwise another one does.")
        self.bytes = Gauge(
            "outlet_outbox_bytes",
            "Bytes in use of the file of the outlets' outbox.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.dead = Gauge(
            "outlet_dead_letters",
            "Refused events that were not sent or deleted yet.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.delay = Histogram(
            "outlet_delay_seconds",
            "Time from the outbox to the outlet's answer, of the first event of each batch.",
            _LABEL,
            registry=registry,
            buckets=buckets.CALL,
        )

    def begin(self, outlet: str) -> None:
        """Begin the series of an outlet."""
        for count in (self.handed, self.delivered, self.repeated, self.retries, self.unsure, self.refused):
            count.labels(outlet)
        for value in (self.waiting, self.oldest, self.away, self.sending):
            value.labels(outlet).set(0)
        for topic in LOST:  # at 0: an alert on an increase does not see the first one if the series appears with it
            self.lost.labels(topic)
        self.delay.labels(outlet)
