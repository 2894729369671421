"""The evaluation of rules: each crossing once, hysteresis, cool-down, windows, and strange values."""

import itertools
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.alerts.evaluation import Evaluator
from aggregator.alerts.events import AnomalyEvent
from aggregator.alerts.rules import Kind, Rule
from aggregator.alerts.topic import Alert
from aggregator.anomalies.event import Anomaly as ServiceAnomaly
from tests.parts.examples import price

START = 1_700_000_000.0


class Anomaly(msgspec.Struct):
    """As the topic of anomalies has it, in what rules read."""

    asset: str
    timestamp: float
    anomaly_score: float


class Headline(msgspec.Struct):
    """As the topic of sentiment has it, in what rules read."""

    asset: str
    published_at: float
    sentiment: float
    correlation_strength: str = "none"
    headline: str = "Bitcoin rises"


def rule(kind: Kind, name: str = "r1", asset: str = "btcusdt", cooldown: int = 1, **fields: Any) -> Rule:
    """Return a rule; levels are given as text."""
    levels = {one: Decimal(fields.pop(one)) for one in ("above", "below", "percent", "hysteresis") if one in fields}
    raw = {"id": name, "created_at": START, "asset": asset, "kind": kind, "cooldown": cooldown} | levels | fields
    return msgspec.convert(raw, Rule)


def watching(*rules: Rule) -> Evaluator:
    """Return an evaluator of these rules."""
    found = Evaluator()
    found.set_rules(rules)
    return found


def fired(evaluator: Evaluator, amounts: str, step: float = 10.0, spread: str = "0") -> list[str]:
    """Return the prices, of those that come in this order, at which alerts fire."""
    found = []
    for number, amount in enumerate(amounts.split()):
        value = msgspec.structs.replace(
            price(amount=amount), timestamp=START + number * step, spread=Decimal(spread), asset="btcusdt"
        )
        found += [amount for _ in evaluator.price(value)]
    return found


@pytest.mark.parametrize(
    ("fields", "amounts", "expected"),
    [
        ({"above": "100"}, "90 95 100 101 102", ["100"]),
        ({"above": "100"}, "105 104 106", []),  # above from the beginning: no crossing
        ({"above": "100"}, "105 90 101", ["101"]),
        ({"above": "100", "hysteresis": "1"}, "90 101 99.5 101 98.9 101", ["101", "101"]),
        ({"below": "100"}, "110 100 99 101 99", ["100", "99"]),
        ({"below": "100", "hysteresis": "2"}, "110 99 101 99 102.1 98", ["99", "98"]),
    ],
)
def test_a_price_crosses_a_level(fields: dict[str, Any], amounts: str, expected: list[str]) -> None:
    """Once for each crossing; only a way back beyond the hysteresis makes another one possible."""
    assert fired(watching(rule(Kind.PRICE, **fields)), amounts) == expected


def test_a_flapping_price_is_one_alert_in_a_cool_down() -> None:
    """A price that crosses every second, for a minute."""
    evaluator = watching(rule(Kind.PRICE, above="100", cooldown=30))
    assert len(fired(evaluator, " ".join(["90", "110"] * 30), step=1.0)) == 2


def test_an_older_or_repeated_price_has_no_part() -> None:
    """Nor does a rule see the prices of other assets."""
    evaluator = watching(rule(Kind.PRICE, above="100", hysteresis="0"))
    assert fired(evaluator, "90 101") == ["101"]
    old = msgspec.structs.replace(price(amount="90"), timestamp=START, asset="btcusdt")
    again = msgspec.structs.replace(price(amount="101"), timestamp=START + 5, asset="btcusdt")
    other = msgspec.structs.replace(price(amount="101"), timestamp=START + 50, asset="ethusdt")
    assert [evaluator.price(one) for one in (old, again, other)] == [[], [], []]


@pytest.mark.parametrize(
    ("fields", "amounts", "expected"),
    [
        ({"percent": "2", "seconds": 60}, "100 101 102 103 104", ["102"]),
        ({"percent": "2", "seconds": 60, "direction": "down"}, "100 103 104", []),
        ({"percent": "2", "seconds": 60, "direction": "down"}, "100 101 98.9", ["98.9"]),
        ({"percent": "2", "seconds": 60, "direction": "up"}, "100 97 99", ["99"]),
        ({"percent": "2", "seconds": 15}, "100 101 102 103 104", []),  # 1 % in ten seconds
        ({"percent": "2", "seconds": 25}, "100 102.5 102.5 102.5 102.5 105.1", ["102.5", "105.1"]),
    ],
)
def test_a_price_moves_within_a_window(fields: dict[str, Any], amounts: str, expected: list[str]) -> None:
    """Against the lowest and highest prices of the window; prices come every ten seconds."""
    assert fired(watching(rule(Kind.CHANGE, **fields)), amounts) == expected


def test_a_window_keeps_a_bounded_number_of_parts() -> None:
    """However many prices come within it, and a move within the last thirtieth of it is seen."""
    evaluator = watching(rule(Kind.CHANGE, percent="2", seconds=3600))
    assert fired(evaluator, " ".join(["100"] * 3000 + ["103"]), step=1.0) == ["103"]
    (state,) = evaluator._rules["r1"]._states.values()
    assert state.window is not None
    assert len(state.window._parts) <= 32


def test_venues_move_apart() -> None:
    """The spread is a share of the price, the level is in percent."""
    evaluator = watching(rule(Kind.SPREAD, asset="*", above="1.5"))
    assert fired(evaluator, "100 100", spread="0.014") == []
    alerts = evaluator.price(
        msgspec.structs.replace(price(amount="100"), timestamp=START + 30, spread=Decimal("0.016"), asset="ethusdt")
    )
    assert [(one.asset, one.value, one.level) for one in alerts] == [("ethusdt", Decimal("1.6"), Decimal("1.5"))]
    assert alerts[0].message == "ethusdt: the venues are 1.6000 % apart"


def test_anomalies() -> None:
    """Below a score, or any; one in each cool-down, and none for an event that comes again."""
    evaluator = watching(rule(Kind.ANOMALY, below="-0.2", cooldown=60), rule(Kind.ANOMALY, "any", asset="*"))
    weak, strong = Anomaly("btcusdt", START, -0.1), Anomaly("btcusdt", START + 1, -0.25)
    assert [one.rule for one in evaluator.anomaly(weak)] == ["any"]
    assert [one.rule for one in evaluator.anomaly(strong)] == ["r1", "any"]
    assert evaluator.anomaly(strong) == []
    assert [one.rule for one in evaluator.anomaly(Anomaly("btcusdt", START + 30, -0.3))] == ["any"]
    assert [one.rule for one in evaluator.anomaly(Anomaly("btcusdt", START + 61, -0.3))] == ["r1", "any"]


def test_the_anomalies_of_the_service_are_such_events() -> None:
    """The type checker compares their fields with those that rules read."""
    event: AnomalyEvent = ServiceAnomaly(
        asset="btcusdt",
        timestamp=START,
        id="1",
        venue="x",
        anomaly_score=-0.7,
        threshold=-0.6,
        feature_vector=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        model_version="1",
    )
    found = watching(rule(Kind.ANOMALY, below="-0.5")).anomaly(event)
    assert [one.message for one in found] == ["btcusdt: unusual trade with score -0.7"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1e300])
def test_a_score_that_is_none(score: float) -> None:
    """Fires nothing and raises nothing."""
    evaluator = watching(rule(Kind.ANOMALY), rule(Kind.SENTIMENT, "s", below="0.5"))
    assert evaluator.anomaly(Anomaly("btcusdt", START, score)) == []
    assert evaluator.sentiment(Headline("btcusdt", START, score)) == []


def test_headlines() -> None:
    """A headline comes again when it is joined with trades; only then is it strong."""
    evaluator = watching(
        rule(Kind.SENTIMENT, "good", above="0.5"),
        rule(Kind.SENTIMENT, "bad", below="-0.5"),
        rule(Kind.SENTIMENT, "moved", strength="moderate"),
    )
    found = evaluator.sentiment(Headline("btcusdt", START, 0.8, headline="x" * 1000))
    assert [one.rule for one in found] == ["good"]
    assert len(found[0].message) < 300
    assert [one.rule for one in evaluator.sentiment(Headline("btcusdt", START, 0.8, "strong"))] == ["moved"]
    assert [one.rule for one in evaluator.sentiment(Headline("btcusdt", START + 5, -0.8, "weak"))] == ["bad"]


def test_a_change_of_the_rules_keeps_the_state_of_the_others() -> None:
    """And a deleted rule fires no more."""
    first = rule(Kind.PRICE, above="100")
    evaluator = watching(first)
    fired(evaluator, "90")
    evaluator.set_rules([first, rule(Kind.PRICE, "r2", above="95")])
    later = msgspec.structs.replace(price(amount="101"), timestamp=START + 50, asset="btcusdt")
    assert [one.rule for one in evaluator.price(later)] == ["r1"]  # r2 has not seen a price before
    evaluator.set_rules([])
    assert evaluator.price(msgspec.structs.replace(later, timestamp=START + 99)) == []


@given(
    st.lists(st.tuples(st.floats(0, 100), st.decimals("1e-12", "1e15", places=12)), max_size=40),
    st.sampled_from(["0", "0.1", "5"]),
    st.integers(1, 30),
)
def test_an_alert_is_a_crossing_and_apart_from_the_last(
    values: list[tuple[float, Decimal]], hysteresis: str, cooldown: int
) -> None:
    """For prices in any order and of any size, and the same prices give the same alerts."""
    rules = (
        rule(Kind.PRICE, above="1000", hysteresis=hysteresis, cooldown=cooldown),
        rule(Kind.CHANGE, "change", percent="2", seconds=20, cooldown=cooldown),
    )
    events = [
        msgspec.structs.replace(price(), price=amount, timestamp=START + seconds, asset="btcusdt")
        for seconds, amount in values
    ]
    evaluators = (watching(*rules), watching(*rules))
    runs = [[alert for event in events for alert in one.price(event)] for one in evaluators]
    assert runs[0] == runs[1]
    for name in ("r1", "change"):
        own: list[Alert] = [one for one in runs[0] if one.rule == name]
        assert all(later.timestamp - one.timestamp >= cooldown for one, later in itertools.pairwise(own))
        assert len({one.id for one in own}) == len(own)
        assert all(one.value >= 1000 for one in own if name == "r1")
