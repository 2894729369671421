"""The metrics of the stream of a table."""

from prometheus_client import CollectorRegistry, Counter

OUTCOMES = ("handed_over", "deleted", "invalid", "unlisted", "too_old")


class TableStreamMetrics:
    """Counters of the role `streams`, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "table_stream_records_total",
            "Records of the table's stream: handed_over to the outlets, deleted (items that were), invalid (no price or"
            " trade; kept as dead letters), unlisted (of an asset that is not listed), or too_old (written before the"
            " start, with start=latest).",
            ["outcome"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self.records.labels(outcome)
