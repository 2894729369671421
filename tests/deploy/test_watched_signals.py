"""A real Prometheus scrapes the metrics of analytics and alerts, which the test sets: panels show data, alerts fire.

The metrics are set by hand, because the faults, such as a source of news that is silent for minutes, cannot all be
brought about in seconds. The tests depend on their order: no fault, then one after the other.
"""

import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.alerts import KINDS
from tests.deploy.watched import Scene, Traffic
from tests.parts.monitoring import SIGNAL_ALERTS, needs_prometheus

pytestmark = [pytest.mark.real, needs_prometheus]

BOARD = "signals.json"


class Signals(Traffic):
    """Sets metrics as a service does whose analytics find something; the attributes are its faults."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self.news_age = 1.0  # seconds
        self.fits_waiting = 2
        self.dropped = 0
        self.outlet_oldest = 1.0  # seconds
        self.outlet_away = 0
        self.outlet_lost = 0
        self.outlet_dead = 0
        self._metrics = metrics

    def set_metrics(self) -> None:
        """Set them to those of a service, with the faults."""
        self._anomalies()
        self._others()

    def _anomalies(self) -> None:
        metrics = self._metrics.anomalies
        metrics.models.set(20)
        metrics.waiting.set(3)
        metrics.fits_waiting.set(self.fits_waiting)
        metrics.scored.inc(100)
        metrics.scoring_seconds.inc(0.001)
        metrics.fit_seconds.inc(0.01)
        metrics.fits.labels("fitted").inc(0.1)

    def _others(self) -> None:
        metrics = self._metrics
        metrics.strategy.open.set(3)
        metrics.strategy.signals.labels("buy", "drop").inc(0.1)
        metrics.news.articles.labels("mock", "new").inc(0.1)
        metrics.news.joined.labels("strong").inc(0.1)
        metrics.news.source_errors.labels("mock", "timeout").inc(0.1)
        metrics.news.source_read.labels("mock").set(time.time() - self.news_age)
        metrics.events.stored.labels("alerts").inc(0.1)
        metrics.events.dropped.labels("alerts").inc(self.dropped)
        metrics.events.waiting.labels("alerts").set(1)
        for kind in KINDS:
            metrics.alerts.fired.labels(kind).inc(0.1)
        metrics.alerts.rules.set(5)
        self._outlets()

    def _outlets(self) -> None:
        metrics = self._metrics.outlets
        for count in (
            metrics.handed,
            metrics.delivered,
            metrics.repeated,
            metrics.retries,
            metrics.unsure,
            metrics.refused,
        ):
            count.labels("queue").inc(10)
        metrics.waiting.labels("queue").set(3)
        metrics.oldest.labels("queue").set(self.outlet_oldest)
        metrics.away.labels("queue").set(self.outlet_away)
        metrics.sending.labels("queue").set(1)
        metrics.delay.labels("queue").observe(0.01)
        metrics.lost.labels("prices").inc(self.outlet_lost)
        metrics.bytes.set(1 << 20)
        metrics.dead.set(self.outlet_dead)


FAULTS = (
    ("NewsSourceDown", "news_age", 1000, 1),
    ("AnomalyFitsBehind", "fits_waiting", 101, 100),
    ("EventsDropped", "dropped", 1, 0),
    ("OutletBehind", "outlet_oldest", 100, 1),
    ("OutletEnded", "outlet_away", 2, 0),
    ("OutletEventsGivenUp", "outlet_lost", 1, 0),
    ("OutletDeadLetters", "outlet_dead", 1, 0),
)
"""Alerts, the attribute of the traffic that causes each, and its value with the fault and without."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene[Signals]]:
    """Run all parts once for this module."""
    metrics = Metrics(CollectorRegistry())
    one = Scene(tmp_path_factory.mktemp("watched"), metrics, Signals(metrics), SIGNAL_ALERTS)
    yield one
    one.close()


def test_every_query_of_every_panel_shows_data(scene: Scene[Signals]) -> None:
    """And no alert is active: a call that fails between others is no fault of a source."""
    scene.wait_for_panels(BOARD)
    assert scene.active() == set()


def test_every_alert_fires_in_its_fault_and_ends_after_it(scene: Scene[Signals]) -> None:
    """Sources, fits and events first, then outlets; the value that is no fault is tried for each, too."""
    for alert, name, fault, sound in FAULTS:
        setattr(scene.traffic, name, fault)
        scene.wait_for_alert(alert)
        setattr(scene.traffic, name, sound)
        scene.wait_for_silence()
