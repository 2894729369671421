"""Metrics that a test sets, and a real Prometheus that scrapes them: panels show data, alerts fire and end."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import start_http_server

from aggregator.observability.metrics import Metrics
from tests.parts.monitoring import TARGETS, RunningPrometheus, Target
from tests.parts.ports import free_port
from tests.parts.process import wait_for


class Traffic(ABC):
    """Sets metrics ten times a second, as a service does; the attributes of a subclass are its faults."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Start to set metrics."""
        self._thread.start()

    def stop(self) -> None:
        """Stop setting metrics."""
        self._done.set()
        self._thread.join()

    @abstractmethod
    def set_metrics(self) -> None:
        """Set the metrics to those of the next tenth of a second."""

    def _run(self) -> None:
        while not self._done.wait(0.1):
            self.set_metrics()


AnyTraffic = TypeVar("AnyTraffic", bound=Traffic)


class Scene(Generic[AnyTraffic]):
    """The metrics, what sets them, and Prometheus; `alerts` are those that the metrics are about."""

    def __init__(self, folder: Path, metrics: Metrics, traffic: AnyTraffic, alerts: set[str]) -> None:
        port = free_port()
        self._server, self._serving = start_http_server(port, "127.0.0.1", metrics.registry)
        self._alerts = alerts
        self.metrics = metrics
        self.traffic = traffic
        self.traffic.start()
        self.prometheus = RunningPrometheus(folder, f"http://127.0.0.1:{port}", hurried=True)

    def close(self) -> None:
        """Stop all parts."""
        self.prometheus.process.stop()
        self.traffic.stop()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join()

    def active(self) -> set[str]:
        """Return the alerts that fire or are pending, of those that the metrics are about."""
        return self.prometheus.active() & self._alerts

    def wait_for_alert(self, name: str) -> None:
        """Wait until this alert fires."""
        wait_for(lambda: name in self.prometheus.firing(), what=f"{name}, of {self.active()}")

    def wait_for_silence(self) -> None:
        """Wait until none of the alerts is active."""
        wait_for(lambda: not self.active(), what=f"silence, of {self.active()}")

    def wait_for_panels(self, board: str) -> None:
        """Wait until every query of every panel of this board has had a result."""
        wait_for_data(
            (target for target in TARGETS if target.board == board),
            lambda target: bool(self.prometheus.ask(target.filled_in)),
        )


def wait_for_data(targets: Iterable[Target], has_data: Callable[[Target], bool]) -> None:
    """Wait until each of the targets has had data; the failure lists those that have not."""
    waiting = set(targets)

    def all_there() -> bool:
        waiting.difference_update([target for target in waiting if has_data(target)])
        return not waiting

    try:
        wait_for(all_there)
    except AssertionError:
        empty = {(target.panel, target.filled_in) for target in waiting}
        assert not empty, f"without data: {empty}"
