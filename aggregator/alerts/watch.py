"""Listeners that evaluate the rules on what the bus brings, and pass alerts on."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from aggregator.alerts.evaluation import Evaluator
from aggregator.alerts.rules import Rule
from aggregator.alerts.topic import Alert
from aggregator.models import Price, encode
from aggregator.observability.metrics.alerts import AlertMetrics
from aggregator.trades.ports import StoredEvent

if TYPE_CHECKING:
    from aggregator.alerts.events import AnomalyEvent, SentimentEvent

T = TypeVar("T")


class Writer(Protocol):
    """Stores and publishes alerts in the background."""

    def put(self, values: Sequence[Alert]) -> None:
        """Accept alerts. Returns at once."""


class AlertWatch:
    """Evaluates the rules. `is_active` tells whether this process passes the alerts on.

    One that does not keeps the state of the rules, so that it fires nothing again when it becomes active.
    """

    def __init__(self, writer: Writer, metrics: AlertMetrics, is_active: Callable[[], bool]) -> None:
        self._evaluator = Evaluator()
        self._writer = writer
        self._metrics = metrics
        self._is_active = is_active
        self.prices: ListenerOf[Price] = ListenerOf(self._evaluator.price, self._fire)
        self.anomalies: ListenerOf[AnomalyEvent] = ListenerOf(self._evaluator.anomaly, self._fire)
        self.sentiment: ListenerOf[SentimentEvent] = ListenerOf(self._evaluator.sentiment, self._fire)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Evaluate these rules from now on."""
        self._evaluator.set_rules(rules)
        self._metrics.rules.set(len(rules))

    def _fire(self, alerts: Sequence[Alert]) -> None:
        if not self._is_active():
            return
        for alert in alerts:
            self._metrics.fired.labels(alert.kind.value).inc()
        self._writer.put(alerts)


class ListenerOf(Generic[T]):
    """A listener of one topic. A gap needs no handling: the next value is compared with the last one before it."""

    def __init__(self, evaluate: Callable[[T], Sequence[Alert]], fire: Callable[[Sequence[Alert]], None]) -> None:
        self._evaluate = evaluate
        self._fire = fire

    def receive(self, values: Sequence[T]) -> None:
        """Evaluate new values."""
        found = [alert for value in values for alert in self._evaluate(value)]
        if found:
            self._fire(found)

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""


def stored_alert(alert: Alert) -> StoredEvent:
    """Return the event to store of an alert."""
    return StoredEvent(alert.asset, alert.timestamp, alert.id, encode(alert))
