"""A real Prometheus scrapes the service's own metrics of trades, which the test sets: panels show data, alerts fire.

The service's metrics are set by hand because the faults of the trade stream, such as a store that is slow for
minutes, cannot all be brought about in seconds. The tests depend on their order: no fault, then one after the other.
"""

import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.trades import STAGES
from tests.deploy.watched import Scene, Traffic
from tests.parts.monitoring import BOARDS, TRADE_ALERTS, needs_prometheus

pytestmark = [pytest.mark.real, needs_prometheus]

BOARD = "trades.json"


class Trades(Traffic):
    """Sets metrics as a service does that stores a thousand trades a second; the attributes are its faults."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self.waits = 0.01  # seconds, of the oldest trade
        self.stored_after = 0.004  # seconds
        self.rejected = 0  # of each hundred records
        self.feed_connected = 1
        self.feed_silent = False
        self.lost = False
        self.outbox_waits = 0.1  # seconds
        self.refused = 0  # trades, by DynamoDB
        self.archive_lag = 0.0  # seconds
        self._archive = metrics.archive
        self._metrics = metrics.trades

    def set_metrics(self) -> None:
        """Set them to those of a service, with the faults."""
        self._count()
        self._feed()
        self._outbox()
        self._archiver()

    def _count(self) -> None:
        metrics = self._metrics
        for source in ("ingest", "exchange1"):
            metrics.ingested.labels(source).inc(100 - self.rejected)
            metrics.duplicates.labels(source).inc(1)
            metrics.rejected.labels(source, "price").inc(self.rejected)
            metrics.dead_letters.labels(source).inc(self.rejected)
        for stage in STAGES:
            metrics.stage_seconds.labels(stage).inc(0.01)
        metrics.backlog.set(20)
        metrics.backlog_seconds.set(self.waits)
        metrics.partition_records.labels(0).set(20)
        metrics.partition_seconds.labels(0).set(self.waits)
        metrics.log_throttled.labels("GetRecords").inc(0.1)
        metrics.unpublished.labels("trades").inc(0.1)
        metrics.batch.observe(20)
        metrics.ingest_seconds.observe(self.stored_after)
        metrics.store_seconds.observe(0.002)
        metrics.dead_letters_lost.inc(1 if self.lost else 0)

    def _feed(self) -> None:
        metrics = self._metrics
        metrics.feed_state.labels("exchange1").set(self.feed_connected)
        metrics.feed_gaps.labels("exchange1", "filled").inc(0)
        if not self.feed_silent:
            metrics.feed_newest.labels("exchange1").set(time.time())

    def _outbox(self) -> None:
        metrics = self._metrics
        metrics.outbox_oldest.set(self.outbox_waits)
        metrics.outbox_refused_held.set(self.refused)
        metrics.outbox_batch.observe(25)

    def _archiver(self) -> None:
        metrics = self._archive
        metrics.lag.set(self.archive_lag)
        metrics.pending.set(1)
        metrics.rows.labels("trades").inc(100)
        metrics.bytes.labels("trades").inc(2000)
        metrics.errors.inc(0)
        metrics.compacted.labels("trades").inc(0.1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene[Trades]]:
    """Run all parts once for this module."""
    metrics = Metrics(CollectorRegistry())
    one = Scene(tmp_path_factory.mktemp("watched"), metrics, Trades(metrics), TRADE_ALERTS)
    yield one
    one.close()


def test_every_query_of_every_panel_shows_data(scene: Scene[Trades]) -> None:
    """Each panel's query and each variable has a result, and no alert is active: a known trade is no fault."""
    scene.wait_for_panels(BOARD)
    assert scene.prometheus.values_of("instance", "price_build_info")
    assert BOARDS[BOARD]["templating"]["list"][0]["definition"] == "label_values(price_build_info, instance)"
    assert scene.active() == set()


def test_every_alert_fires_in_its_fault_and_ends_after_it(scene: Scene[Trades]) -> None:
    """A backlog, slow storing, rejected records, a silent or lost feed, a full outbox, lost dead letters, a lag."""
    traffic = scene.traffic
    fired = set()

    def fire(name: str) -> None:
        scene.wait_for_alert(name)
        fired.add(name)

    traffic.waits = 6
    fire("TradesWaiting")
    traffic.waits = 4.9
    scene.wait_for_silence()
    traffic.stored_after = 0.9
    fire("TradesSlow")
    traffic.stored_after = 0.4
    scene.wait_for_silence()
    traffic.rejected = 2
    fire("TradesRejected")
    traffic.rejected = 0
    scene.wait_for_silence()
    traffic.feed_silent = True
    scene.metrics.trades.feed_newest.labels("exchange1").set(time.time() - 61)
    fire("TradeFeedSilent")
    traffic.feed_silent = False
    scene.wait_for_silence()
    traffic.feed_connected = 0
    fire("TradeFeedSilent")
    traffic.feed_connected = 1
    scene.wait_for_silence()
    traffic.outbox_waits = 4  # of 300 s, which are 3 s here
    fire("TradesOutboxGrowing")
    traffic.outbox_waits = 2
    scene.wait_for_silence()
    traffic.refused = 1
    fire("TradesRefused")
    traffic.refused = 0
    scene.wait_for_silence()
    traffic.lost = True
    fire("TradeDeadLettersLost")
    traffic.lost = False
    scene.wait_for_silence()
    traffic.archive_lag = 3700
    fire("ArchiveBehind")
    traffic.archive_lag = 3500
    scene.wait_for_silence()
    assert fired == TRADE_ALERTS
