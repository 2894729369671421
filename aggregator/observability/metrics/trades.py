"""The metrics of the trade stream. `source` is `ingest`, `replay` or the name of a venue."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aggregator.observability.metrics import buckets

STAGES = ("parse", "store", "windows", "publish", "analytics")
_SECONDS = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class TradeMetrics:
    """Counters, gauges and histograms of the trade stream, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ingest(registry)
        self._processing(registry)
        self._log(registry)
        self._feeds(registry)
        self._outbox(registry)
        for stage in STAGES:
            self.stage_seconds.labels(stage)

    def _ingest(self, registry: CollectorRegistry) -> None:
        self.ingested = Counter("trades_ingested_total", "Trades stored, by source.", ["source"], registry=registry)
        self.duplicates = Counter(
            "trades_duplicates_total", "Trades that had been stored before.", ["source"], registry=registry
        )
        self.rejected = Counter(
            "trades_rejected_total", "Records that are no trades, by reason.", ["source", "reason"], registry=registry
        )
        self.late = Counter("trades_late_total", "Trades too late to have a part in windows.", registry=registry)
        self.refused = Counter(
            "trades_refused_total", "Trades refused with 503 because the backlog was full.", registry=registry
        )
        self.dead_letters = Counter(
            "trades_dead_letters_total", "Rejected records that were kept.", ["source"], registry=registry
        )
        self.dead_letters_lost = Counter(
            "trades_dead_letters_lost_total", "Rejected records that could not be kept.", registry=registry
        )
        self.ingest_seconds = Histogram(
            "trades_ingest_to_stored_seconds",
            "From the arrival of a trade to its being stored and published.",
            buckets=_SECONDS,
            registry=registry,
        )

    def _processing(self, registry: CollectorRegistry) -> None:
        self.backlog = Gauge(
            "trades_backlog", "Trades that wait for the processor.", registry=registry, multiprocess_mode="livesum"
        )
        self.backlog_seconds = Gauge(
            "trades_backlog_seconds",
            "How long the oldest trade has waited for the processor.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.batch = Histogram(
            "trades_batch_size", "Trades in a write to the store.", buckets=buckets.BATCH, registry=registry
        )
        self.store_seconds = Histogram(
            "trades_store_seconds", "Duration of a write to the store.", buckets=_SECONDS, registry=registry
        )
        self.stage_seconds = Counter(
            "trades_stage_seconds_total",
            "Time spent on trades, by stage: parse, store, windows, publish, analytics.",
            ["stage"],
            registry=registry,
        )
        self.unpublished = Counter(
            "trades_unpublished_total",
            "Values of a topic that no other process got, because Redis was away.",
            ["topic"],
            registry=registry,
        )

    def _log(self, registry: CollectorRegistry) -> None:
        self.partition_records = Gauge(
            "trades_partition_lag_records",
            "Records of a partition that are not processed yet.",
            ["partition"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.partition_seconds = Gauge(
            "trades_partition_lag_seconds",
            "Age of the last processed record of a partition, while others wait.",
            ["partition"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.empty_records = Counter(
            "trades_empty_records_total", "Records of the log without a value, which are ignored.", registry=registry
        )
        self.log_throttled = Counter(
            "trades_log_throttled_total",
            "Calls that Kinesis, or its table of leases, did not take because they were too many.",
            ["operation"],
            registry=registry,
        )

    def _feeds(self, registry: CollectorRegistry) -> None:
        self.feed_state = Gauge(
            "trades_feed_connected",
            "1 while a venue's feed of trades is connected, NaN while it has no subscriptions.",
            ["exchange"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.feed_newest = Gauge(
            "trades_feed_last_timestamp_seconds",
            "When a venue's feed last brought a trade, by our clock.",
            ["exchange"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.feed_gaps = Counter(
            "trades_feed_gaps_total",
            "Interruptions of a venue's feed: filled from the venue's recent trades, or not.",
            ["exchange", "outcome"],
            registry=registry,
        )

    def _outbox(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=registry, multiprocess_mode="mostrecent")

        self.outbox_rows = gauge("trades_outbox_rows", "Trades that wait for DynamoDB.")
        self.outbox_bytes = gauge("trades_outbox_bytes", "Bytes in use of the file of the trades' outbox.")
        self.outbox_oldest = gauge(
            "trades_outbox_oldest_age_seconds", "How long the oldest trade in the outbox has waited."
        )
        self.outbox_refused_held = gauge(
            "trades_outbox_dead_letters", "Refused trades that were not replayed or deleted yet."
        )
        self.outbox_refused = Counter(
            "trades_outbox_dead_letters_added_total", "Trades that DynamoDB refused for good.", registry=registry
        )
        self.outbox_sent = Counter("trades_outbox_sent_total", "Trades that DynamoDB has taken.", registry=registry)
        self.outbox_batch = Histogram(
            "trades_outbox_batch_size", "Trades in a BatchWriteItem.", buckets=buckets.BATCH, registry=registry
        )
