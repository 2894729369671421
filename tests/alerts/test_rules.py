"""The reading of rules: what is taken, and the field that a refusal names."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.alerts.rules import ALLOWED, InvalidRule, Kind, RuleFields, parse_rule, rule_of


def parsed(**fields: object) -> RuleFields | InvalidRule:
    """Return what a body of these fields is read as."""
    return parse_rule(json.dumps({"asset": "btcusdt"} | fields).encode())


def reason(**fields: object) -> str:
    """Return why these fields are no rule."""
    found = parsed(**fields)
    assert isinstance(found, InvalidRule)
    return found.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "price", "above": 70000.5},
        {"kind": "price", "below": "0.000001", "hysteresis": 0, "cooldown": 1, "outlet": "desk-1"},
        {"kind": "change", "percent": 2, "seconds": 300},
        {"kind": "change", "percent": 2, "seconds": 300, "direction": "down"},
        {"kind": "spread", "above": 1.5, "asset": "*"},
        {"kind": "anomaly", "asset": "*"},
        {"kind": "anomaly", "below": -0.2},
        {"kind": "sentiment", "above": 0.5},
        {"kind": "sentiment", "strength": "strong"},
    ],
)
def test_rules(fields: dict[str, Any]) -> None:
    """Every kind is read, digits are kept, and a kept rule has the same fields."""
    found = parsed(**fields)
    assert isinstance(found, RuleFields), found
    for name in ("above", "below"):
        if name in fields:
            assert getattr(found, name) == Decimal(str(fields[name]))
    kept = rule_of(found, "r1", 12.5)
    assert (kept.id, kept.created_at, kept.kind, kept.cooldown) == ("r1", 12.5, found.kind, found.cooldown)


@pytest.mark.parametrize("name", ["symbol", "ticker"])
def test_other_names_of_the_asset(name: str) -> None:
    """The asset may have the names that it may have in a trade; `asset` comes first."""
    rule = {"kind": "anomaly", name: "ethusdt"}
    assert parse_rule(json.dumps(rule).encode()) == parsed(kind="anomaly", asset="ethusdt")
    assert parse_rule(json.dumps(rule | {"asset": "btcusdt"}).encode()) == parsed(kind="anomaly")
    assert reason(kind="anomaly", **{name: 1}) == f"{name} must be a symbol, or * for every asset"


def test_a_rule_without_an_asset() -> None:
    """The reason names the field."""
    found = parse_rule(b'{"kind":"anomaly","asset":""}')
    assert (
        found
        == parse_rule(b'{"kind":"anomaly"}')
        == InvalidRule("asset is missing; it must be a symbol, or * for every asset")
    )


def test_defaults() -> None:
    """A field that is not given has the default of its kind."""
    change = parsed(kind="change", percent=2, seconds=300)
    assert isinstance(change, RuleFields)
    assert (change.direction, change.hysteresis, change.cooldown) == ("any", Decimal("0.1"), 60)
    anomaly = parsed(kind="anomaly")
    assert isinstance(anomaly, RuleFields)
    assert (anomaly.direction, anomaly.hysteresis) == (None, None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "prize", "above": 1}, "kind must be one of price, change, spread, anomaly, sentiment"),
        ({}, "kind is missing; it must be one of price"),
        ({"kind": "price"}, "needs above or below"),
        ({"kind": "price", "above": 1, "below": 2}, "needs above or below, and not both"),
        ({"kind": "price", "above": -1}, "above and below must be positive"),
        ({"kind": "price", "above": "NaN"}, "above must be a number"),
        ({"kind": "price", "above": "Infinity"}, "above must be a number"),
        ({"kind": "price", "above": "1e999999"}, "above must be a number"),
        ({"kind": "price", "above": True}, "above must be a number"),
        ({"kind": "price", "above": 1, "percent": 2}, "percent has no meaning in a rule of kind price"),
        ({"kind": "price", "above": 1, "asset": "*"}, "asset must be one symbol"),
        ({"kind": "price", "above": 1, "asset": 5}, "asset must be a symbol"),
        ({"kind": "price", "above": 1, "cooldown": 0}, "cooldown must be a whole number from 1 to 86400"),
        ({"kind": "price", "above": 1, "cooldown": 1.5}, "cooldown must be a whole number"),
        ({"kind": "price", "above": 1, "hysteresis": 51}, "hysteresis must be a number from 0 to 50"),
        ({"kind": "price", "above": 1, "outlet": "<script>"}, "outlet must be the name of an outlet"),
        ({"kind": "price", "above": 1, "volume": 1}, "a field is unknown; the fields are asset, kind"),
        ({"kind": "change", "percent": 2}, "seconds is missing"),
        ({"kind": "change", "percent": 0, "seconds": 3}, "percent must be a number above 0"),
        ({"kind": "change", "percent": 2, "seconds": 86401}, "seconds must be a whole number from 1 to 86400"),
        ({"kind": "change", "percent": 2, "seconds": 5, "direction": "left"}, "direction must be one of up, down, any"),
        ({"kind": "spread"}, "above must be a number above 0, at most 100"),
        ({"kind": "anomaly", "below": 2}, "below must be a number from -1 to 1"),
        ({"kind": "sentiment"}, "needs above, below or strength"),
        ({"kind": "sentiment", "above": 1.5}, "above and below must be numbers from -1 to 1"),
        ({"kind": "sentiment", "strength": "none"}, "strength must be one of weak, moderate, strong"),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, Any], said: str) -> None:
    """And what is allowed."""
    assert said in reason(**fields)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"7", b'{"asset"', b"\xff\xfe", b'"' + b"[" * 5000, b"[" * 5000])
def test_a_body_that_is_no_object(raw: bytes) -> None:
    """Is refused, not an error."""
    found = parse_rule(raw)
    assert isinstance(found, InvalidRule)
    assert found.reason == "the body must be a JSON object with the fields of a rule"


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([*Kind]))


@given(st.dictionaries(st.sampled_from([*ALLOWED, "other"]), _VALUES))
def test_any_fields_make_a_rule_or_a_reason(fields: dict[str, Any]) -> None:
    """No value raises."""
    assert isinstance(parse_rule(json.dumps(fields).encode()), (RuleFields, InvalidRule))
