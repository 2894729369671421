"""A real Prometheus scrapes the metrics of analytics and alerts, which the test sets: panels show data, alerts fire.

The metrics are set by hand, because the faults, such as a source of news that is silent for minutes, cannot all be
brought about in seconds. The tests depend on their order: no fault, then one after the other.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.alerts import KINDS
from tests.parts.monitoring import SIGNAL_ALERTS, TARGETS, RunningPrometheus, needs_prometheus
from tests.parts.ports import free_port
from tests.parts.process import wait_for

pytestmark = [pytest.mark.real, needs_prometheus]

BOARD = "signals.json"


class Traffic:
    """Sets metrics as a service does whose analytics find something; the attributes are its faults."""

    def __init__(self, metrics: Metrics) -> None:
        self.news_age = 1.0  # seconds
        self.fits_waiting = 2
        self.dropped = 0
        self._metrics = metrics
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Stop setting metrics."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.1):
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


class Scene:
    """The metrics, what sets them, and Prometheus."""

    def __init__(self, folder: Path) -> None:
        metrics = Metrics(CollectorRegistry())
        port = free_port()
        self._server, self._serving = start_http_server(port, "127.0.0.1", metrics.registry)
        self.traffic = Traffic(metrics)
        self.prometheus = RunningPrometheus(folder, f"http://127.0.0.1:{port}")

    def close(self) -> None:
        """Stop all parts."""
        self.prometheus.process.stop()
        self.traffic.stop()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join()

    def active(self) -> set[str]:
        """Return the alerts of signals that fire or are pending."""
        return self.prometheus.active() & SIGNAL_ALERTS

    def wait_for_alert(self, name: str) -> None:
        """Wait until this alert fires."""
        wait_for(lambda: name in self.prometheus.firing(), what=f"{name}, of {self.active()}")

    def wait_for_silence(self) -> None:
        """Wait until no alert of signals is active."""
        wait_for(lambda: not self.active(), what=f"silence, of {self.active()}")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Run all parts once for this module."""
    one = Scene(tmp_path_factory.mktemp("watched"))
    yield one
    one.close()


def test_every_query_of_every_panel_shows_data(scene: Scene) -> None:
    """And no alert is active: a call that fails between others is no fault of a source."""
    waiting = {target for target in TARGETS if target.board == BOARD}

    def all_there() -> bool:
        waiting.difference_update([target for target in waiting if scene.prometheus.ask(target.filled_in)])
        return not waiting

    try:
        wait_for(all_there)
    except AssertionError:
        assert {(target.panel, target.filled_in) for target in waiting} == set()  # lists the empty ones
    assert scene.active() == set()


def test_every_alert_fires_in_its_fault_and_ends_after_it(scene: Scene) -> None:
    """A source that is silent, fits that wait, and events that are dropped."""
    traffic = scene.traffic
    traffic.news_age = 1000
    scene.wait_for_alert("NewsSourceDown")
    traffic.news_age = 1
    scene.wait_for_silence()
    traffic.fits_waiting = 101
    scene.wait_for_alert("AnomalyFitsBehind")
    traffic.fits_waiting = 100
    scene.wait_for_silence()
    traffic.dropped = 1
    scene.wait_for_alert("EventsDropped")
    traffic.dropped = 0
    scene.wait_for_silence()
