"""The listeners that evaluate rules: in the process that passes alerts on, and in one that may take over."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.alerts.rules import Kind, Rule
from aggregator.alerts.topic import ALERTS, Alert
from aggregator.alerts.watch import HELD_SECONDS, AlertWatch
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.observability.metrics.alerts import AlertMetrics
from tests.parts.examples import NOW, price


class Scene:
    """A watch on a bus, with the clock, the lease and the writer that a test sets or reads."""

    def __init__(self, *, is_active: bool) -> None:
        self.written: list[str] = []
        self.now = NOW
        self.is_active = is_active
        self.registry = CollectorRegistry()
        self.watch = AlertWatch(self, AlertMetrics(self.registry), lambda: self.is_active, lambda: self.now)
        self.bus = Bus([PRICES, ALERTS])
        self.bus.listen(PRICES, self.watch.prices)
        self.bus.listen(ALERTS, self.watch.alerts)
        self.rule = Rule(id="r", created_at=NOW, asset="btcusdt", kind=Kind.PRICE, above=Decimal(100), cooldown=1)
        self.watch.set_rules([self.rule])
        self.at = NOW

    def put(self, values: Sequence[Alert]) -> None:
        """Write alerts, as a `Writer`."""
        self.written += [f"{alert.value}" for alert in values]

    def cross(self, amount: str) -> Alert:
        """Publish a price below the level and one above it; return the alert of the latter."""
        for one in ("90", amount):
            self.at += 10
            self.bus.publish(PRICES, [msgspec.structs.replace(price(amount=one), timestamp=self.at)])
        name = f"r-btcusdt-{round(self.at * 1_000_000)}"
        return Alert(name, "r", Kind.PRICE, "btcusdt", self.at, Decimal(amount), Decimal(100), "")


def test_an_active_process_writes_and_counts() -> None:
    """At once, and each alert once."""
    scene = Scene(is_active=True)
    scene.cross("101")
    scene.cross("102")
    scene.watch.pass_held_on()
    assert scene.written == ["101", "102"]
    assert scene.registry.get_sample_value("alerts_fired_total", {"kind": "price"}) == 2
    assert scene.registry.get_sample_value("alerts_rules") == 1


def test_a_process_that_takes_over_passes_on_what_was_not_published() -> None:
    """Of the last ten seconds, and once."""
    scene = Scene(is_active=False)
    scene.cross("101")
    scene.now += HELD_SECONDS + 1
    published = scene.cross("102")
    scene.bus.publish(ALERTS, [published])
    scene.cross("103")
    scene.watch.pass_held_on()
    assert scene.written == []
    scene.is_active = True
    scene.watch.pass_held_on()
    scene.watch.pass_held_on()
    assert scene.written == ["103"]


def test_the_cool_down_of_another_process_holds_here() -> None:
    """Also for a rule that this process learns of later."""
    scene = Scene(is_active=False)
    published = scene.cross("101")
    other = msgspec.structs.replace(published, rule="later", timestamp=scene.at + 25)
    scene.bus.publish(ALERTS, [msgspec.structs.replace(published, timestamp=scene.at + 25), other])
    scene.watch.set_rules([scene.rule, msgspec.structs.replace(scene.rule, id="later", cooldown=20)])
    scene.is_active = True
    scene.cross("102")
    assert scene.written == []
    scene.cross("103")
    assert scene.written == ["103"]  # of the rule whose cool-down is a second
    scene.cross("104")
    assert scene.written == ["103", "104", "104"]


@pytest.mark.parametrize("is_active", [True, False])
def test_what_is_held_is_bounded(is_active: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A process that never becomes active holds a thousand alerts at most."""
    scene = Scene(is_active=is_active)
    for _ in range(1100):
        scene.cross("101")
    assert len(scene.watch._held) == (0 if is_active else 1000)
