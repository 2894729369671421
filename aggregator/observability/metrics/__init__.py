"""Every metric's name, meaning and labels, in one place, on a registry that is passed in.

If several processes serve one port, they share their counts through files in PROMETHEUS_MULTIPROC_DIR, which
`runtime/workers.py` sets, and a scrape of any of them shows the sums. A gauge then shows the value that any process set
last, since one process alone sets it or all set the same; a gauge for which that is not so has another
`multiprocess_mode`.

Labels have few values: endpoints, tiers, exchanges, stores and reasons come from fixed lists, and of the assets only
the hot ones have series of their own. Existing dashboards query the names up to price_dynamodb_*: never change them.
"""

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from aggregator.models import Asset, Tier
from aggregator.observability.metrics import buckets
from aggregator.observability.metrics.alerts import AlertMetrics
from aggregator.observability.metrics.anomalies import AnomalyMetrics
from aggregator.observability.metrics.archive import ArchiveMetrics
from aggregator.observability.metrics.events import EventMetrics
from aggregator.observability.metrics.exposition import Exposition
from aggregator.observability.metrics.news import NewsMetrics
from aggregator.observability.metrics.outlets import OutletMetrics
from aggregator.observability.metrics.strategy import StrategyMetrics
from aggregator.observability.metrics.table_streams import TableStreamMetrics
from aggregator.observability.metrics.trades import TradeMetrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name for it

BREAKER_STATES = {"closed": 0, "open": 1, "half-open": 2}
# The local cache; the cache that processes share; history; a refresh for this request; or no price was found.
FOUND_IN = ("near", "cache", "history", "exchanges", "nowhere")


class Metrics:
    """The service's metrics, on `registry` (a new one unless given)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.registry = registry
        self._api()
        self._streams()
        self._exchanges()
        self._refresh()
        self._stores()
        self._processes()
        self.trades = TradeMetrics(registry)
        self.news = NewsMetrics(registry)
        self.table_streams = TableStreamMetrics(registry)
        self.events = EventMetrics(registry)
        self.alerts = AlertMetrics(registry)
        self.outlets = OutletMetrics(registry)
        self.anomalies = AnomalyMetrics(registry)
        self.archive = ArchiveMetrics(registry)
        self.strategy = StrategyMetrics(registry)
        self.is_shared = SHARED_FOLDER in os.environ
        self._exposition = Exposition(registry, is_shared=self.is_shared)
        self.watch_disks = self._exposition.watch_disks
        self._create_alerted_series()

    def _create_alerted_series(self) -> None:
        """Create series at 0: an alert on an increase does not see the first one if the series appears with it."""
        for kind in ("sse", "websocket"):
            self.stream_subscribers.labels(kind)
        for tier in Tier:
            self.refreshes.labels(tier.value, "auto")
            for counter in (self.outbox_refused, self.refresh_errors, self.refresh_missed, self.stale_served):
                counter.labels(tier.value)
        for place in FOUND_IN:
            self.reads.labels(place)
        for store in ("cache", "history"):
            self.store_errors.labels(store, "unavailable")

    def _api(self) -> None:
        self.api_requests = self._counter("price_api_requests_total", "Requests answered.", "endpoint", "status")
        self.api_seconds = self._histogram(
            "price_api_request_duration_seconds", "From request to last byte.", buckets.REQUEST, "endpoint"
        )
        self.in_flight = Gauge(
            "price_api_requests_in_flight",
            "Requests in flight, without those that the fast path answers.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.connections_cut = self._counter(
            "price_api_connections_cut_total",
            "Connections closed by the server: slow, head, body (too large), unread, malformed, pipelined, too_many.",
            "reason",
        )
        self.cache_hits = self._counter("price_cache_hits_total", "Requested prices that the cache had.")
        self.cache_misses = self._counter("price_cache_misses_total", "Requested prices that the cache did not have.")
        self.reads = self._counter("price_reads_total", "Requested prices, by where they were found.", "found_in")
        self.asset_access = self._counter(
            "price_asset_access_total",
            "Requested prices, by asset; all but hot assets count as 'other'.",
            "asset",
            "tier",
        )
        self.age_at_read = self._histogram(
            "price_age_at_read_seconds", "Age of a price when a reader got it.", buckets.AGE, "tier"
        )
        self.stale_served = self._counter("price_stale_served_total", "Prices served as stale.", "tier")

        self.loop_lag = self._histogram(
            "price_event_loop_lag_seconds", "Delay of a callback in the event loop.", buckets.LAG
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
            "Events not sent to a slow subscriber, because a newer event of the same topic and key had come.",
        )
        self.stream_dropped = self._counter(
            "price_stream_dropped_total",
            "Streams that the service has ended, by reason: slow (the client left data unread), silent (no answer to"
            " pings), flood (messages beyond their bounds), expired, stopping.",
            "reason",
        )

    def _exchanges(self) -> None:
        self.exchange_requests = self._counter("price_exchange_requests_total", "Calls to exchanges.", "exchange")
        self.exchange_errors = self._counter(
            "price_exchange_errors_total", "Calls that gave no ticker, or were not made.", "exchange", "error_type"
        )
        self.exchange_seconds = self._histogram(
            "price_exchange_request_duration_seconds", "Time of a call, with decoding.", buckets.CALL, "exchange"
        )
        self.breaker_state = self._gauge(
            "price_circuit_breaker_state",
            "State of an exchange's circuit breaker: 0 closed, 1 open, 2 half-open.",
            "exchange",
        )
        self.exchange_quiet = self._gauge(
            "price_exchange_quiet_seconds",
            "Seconds left of the cool-down that an exchange has asked for, at the last call.",
            "exchange",
        )
        self.push_state = self._gauge(
            "price_exchange_push_state",
            "1 while an exchange's feed pushes young tickers, 0 while it is polled, NaN without subscriptions here.",
            "exchange",
        )
        self.push_connections = self._counter("price_exchange_push_connections_total", "Feeds opened.", "exchange")
        self.push_messages = self._counter(
            "price_exchange_push_messages_total",
            "Events of an exchange's feed: ticker, beat, gap, out_of_order, refused, junk, shutdown (announced), and"
            " lost connections.",
            "exchange",
            "kind",
        )
        self.push_answers = self._counter(
            "price_exchange_push_answers_total", "Assets answered with a pushed ticker, without a call.", "exchange"
        )
        self.exchange_answered = self._gauge(
            "price_exchange_last_ticker_timestamp_seconds", "Our time of an exchange's last ticker.", "exchange"
        )
        self.exchange_newest = self._gauge(
            "price_exchange_newest_ticker_timestamp_seconds",
            "The newest time of an exchange's tickers, by its clock.",
            "exchange",
        )
        self.venue_price = self._gauge(
            "price_exchange_price",
            "An exchange's newest price of a hot asset, also if that has no part in ours.",
            "exchange",
            "asset",
        )
        self.venue_distance = self._gauge(
            "price_exchange_distance_ratio", "(Exchange's price - ours) / ours, of a hot asset.", "exchange", "asset"
        )
        self.rejected_tickers = self._counter(
            "price_tickers_rejected_total", "Tickers that had no part in a price, by reason.", "exchange", "reason"
        )
        self.used_tickers = self._counter("price_tickers_used_total", "Tickers that had a part in a price.", "exchange")

    def _refresh(self) -> None:
        self.refreshes = self._counter(
            "price_refresh_total",
            "Prices made: by schedule (auto), for a read that found none (force), by POST /refresh (manual), of a"
            " pushed ticker (push).",
            "tier",
            "trigger_type",
        )
        self.refresh_errors = self._counter("price_refresh_errors_total", "Refreshes without a price.", "tier")
        self.refresh_interval = self._gauge("price_refresh_interval_seconds", "Interval of a tier.", "tier")
        self.refresh_missed = self._counter(
            "price_refresh_missed_total", "Scheduled refreshes skipped because the one before was not done.", "tier"
        )
        self.jobs = self._counter(
            "price_jobs_total",
            "Jobs of the shared schedule: taken, claimed from a dead refresher, outdated, or own (without Redis).",
            "tier",
            "how",
        )
        self.jobs_lag = self._gauge(
            "price_jobs_lag_seconds", "How long the oldest unfinished job of a tier has been due.", "tier"
        )
        self.refresh_seconds = self._histogram(
            "price_refresh_duration_seconds",
            "Duration of a refresh, from the calls to the exchanges to the last store.",
            buckets.CALL,
            "tier",
        )
        self.tier_changes = self._counter(
            "price_tier_changes_total", "Assets that the ranking by popularity has moved into a tier.", "tier"
        )
        self.age_at_replacement = self._histogram(
            "price_age_at_replacement_seconds", "Age of a price when a newer one replaced it.", buckets.AGE, "tier"
        )

        self.tier_assets = self._gauge("price_tier_assets", "Assets of a tier.", "tier")
        self.tier_unpriced = self._gauge("price_tier_unpriced_assets", "Assets without any price so far.", "tier")
        self.single_source = self._gauge(
            "price_single_source_assets",
            "Assets of a tier whose newest price is made of one exchange although more list them.",
            "tier",
        )
        self.tier_age = self._gauge(
            "price_tier_age_seconds",
            "95th percentile of the ages of a tier's newest prices; +Inf while more than 5 % of its assets have none.",
            "tier",
        )

    def _processes(self) -> None:
        self.processes = Gauge(
            "price_processes", "Running processes.", ["role"], registry=self.registry, multiprocess_mode="livesum"
        )
        self.feed_connected = Gauge(
            "price_feed_connected",
            "1 while every process of the port receives all new prices through Redis; absent without Redis.",
            ["store"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )

    def _stores(self) -> None:
        self.store_errors = self._counter("price_store_errors_total", "Failed calls of a store.", "store", "reason")
        self.store_writes = self._counter("price_store_written_total", "Prices written to a store.", "store")
        self.store_batch = self._histogram("price_store_batch_prices", "Prices in a write.", buckets.BATCH, "store")
        self.outbox_rows = self._gauge("price_outbox_rows", "Prices that wait for DynamoDB or PostgreSQL.")
        self.outbox_bytes = self._gauge("price_outbox_bytes", "Bytes in use of the outbox's file.")
        self.outbox_oldest = self._gauge("price_outbox_oldest_age_seconds", "Age of the oldest waiting price.")
        self.outbox_refused = self._counter(
            "price_outbox_refused_total", "Waiting prices given up because the outbox was full.", "tier"
        )
        self.history_lost = self._counter(
            "price_history_lost_total", "Prices that neither the outbox nor the database behind it took."
        )
        self.dead_letters = self._counter("price_dead_letters_added_total", "Prices that the database refused.")
        self.dead_letters_held = self._gauge("price_dead_letters", "Refused prices, not replayed or deleted yet.")
        self.dynamodb_write_seconds = self._histogram(
            "price_dynamodb_write_latency_seconds", "Time of a BatchWriteItem.", buckets.CALL
        )
        self.dynamodb_read_seconds = self._histogram(
            "price_dynamodb_read_latency_seconds", "Time of a Query.", buckets.CALL
        )
        self.dynamodb_write_units = self._counter("price_dynamodb_write_units_total", "Write units consumed.")
        self.dynamodb_read_units = self._counter("price_dynamodb_read_units_total", "Read units consumed.")
        self.dynamodb_errors = self._counter("price_dynamodb_errors_total", "Calls that failed after retries.")
        self.dynamodb_retries = self._counter("price_dynamodb_retries_total", "Items that had to be sent again.")

    def accesses_of(self, asset: Asset) -> Callable[[float], None]:
        """Return the function that counts reads of `asset`; its argument is how many."""
        name = asset.symbol if asset.tier is Tier.HOT else "other"
        return self.asset_access.labels(name, asset.tier.value).inc

    def before_text(self, flush: Callable[[], None]) -> None:
        """Call `flush` before each scrape, for counts that are buffered elsewhere."""
        self._exposition.before_text(flush)

    async def scrape(self) -> bytes:
        """As `Exposition.scrape`."""
        return await self._exposition.scrape()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)
