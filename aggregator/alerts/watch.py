"""Listeners that evaluate the rules on what the bus brings, and pass alerts on."""

import asyncio
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

HELD_SECONDS = 10.0
"""Longer than a takeover takes: the lease of a killed process ends, and another process takes it."""

_MOST_HELD = 1000  # alerts
_CHECK_SECONDS = 0.5


class Writer(Protocol):
    """Stores and publishes alerts in the background."""

    def put(self, values: Sequence[Alert]) -> None:
        """Accept alerts. Returns at once."""


class AlertWatch:
    """Evaluates the rules. `is_active` tells whether this process passes the alerts on; `now` is in seconds.

    A process that does not pass alerts on keeps the state of the rules, so that it fires nothing again when it becomes
    active. It holds its own alerts for ten seconds, unless the active process publishes them: that one may have ended.
    """

    def __init__(
        self, writer: Writer, metrics: AlertMetrics, is_active: Callable[[], bool], now: Callable[[], float]
    ) -> None:
        self._evaluator = Evaluator()
        self._writer = writer
        self._metrics = metrics
        self._is_active = is_active
        self._now = now
        self._held: dict[str, tuple[float, Alert]] = {}  # with the time of evaluation, by id
        self.prices: ListenerOf[Price] = ListenerOf(self._evaluator.price, self._fire)
        self.anomalies: ListenerOf[AnomalyEvent] = ListenerOf(self._evaluator.anomaly, self._fire)
        self.sentiment: ListenerOf[SentimentEvent] = ListenerOf(self._evaluator.sentiment, self._fire)
        self.alerts: ListenerOf[Alert] = ListenerOf(self._note, self._fire)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Evaluate these rules from now on."""
        self._evaluator.set_rules(rules)
        self._metrics.rules.set(len(rules))

    async def run(self) -> None:
        """Pass on what is held once this process is active; never return."""
        while True:
            self.pass_held_on()
            await asyncio.sleep(_CHECK_SECONDS)

    def pass_held_on(self) -> None:
        """Drop held alerts that are too old; pass the others on if this process is active now."""
        oldest = self._now() - HELD_SECONDS
        self._held = {name: held for name, held in self._held.items() if held[0] >= oldest}
        if self._held and self._is_active():
            alerts = [alert for _, alert in self._held.values()]
            self._held.clear()
            self._fire(alerts)

    def _note(self, published: Alert) -> Sequence[Alert]:
        """Take over the cool-down of a published alert; hold none of its rule and asset. No alert follows from it."""
        self._evaluator.note(published)
        held = self._held.items()
        self._held = {name: one for name, one in held if _rule_and_asset(one[1]) != _rule_and_asset(published)}
        return ()

    def _fire(self, alerts: Sequence[Alert]) -> None:
        if not self._is_active():
            now = self._now()
            self._held.update((alert.id, (now, alert)) for alert in alerts[: _MOST_HELD - len(self._held)])
            return
        for alert in alerts:
            self._metrics.fired.labels(alert.kind.value).inc()
        self._writer.put(alerts)


def _rule_and_asset(alert: Alert) -> tuple[str, str]:
    return alert.rule, alert.asset


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
