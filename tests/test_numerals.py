"""Numbers given as texts are in the digits 0 to 9, wherever a client or an operator gives them."""

import argparse
import json
import math
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.alerts.rules import InvalidRule, parse_rule
from aggregator.cli.command import seconds_up_to
from aggregator.numerals import decimal_of, may_have_others, number_of, other_number
from aggregator.outlets.filters import parse_condition
from aggregator.settings.loader import SettingsError, load
from aggregator.trades.ingest import Parser
from aggregator.trades.validation import InvalidTrade
from tests.parts.examples import NOW
from tests.trades.test_ingest import PARSER, find, with_field

OTHERS = [
    *("1_000", "_1", "1_", "1_.5", "1._5", "1e_2"),
    *("\N{ARABIC-INDIC DIGIT ONE}2", "1\N{ARABIC-INDIC DIGIT TWO}", "\N{FULLWIDTH DIGIT ONE}"),
]


@pytest.mark.parametrize("text", OTHERS)
def test_other_writings(text: str) -> None:
    """Decimal reads each of these as a number, and we do not."""
    assert Decimal(text) > 0
    assert math.isnan(number_of(text))
    assert decimal_of(text) is None


def test_plain_numbers() -> None:
    """Signs, decimals and exponents stay; NaN and infinity are no decimals."""
    assert [number_of(text) for text in ("10", "-0.5", "1e3", "+2")] == [10, -0.5, 1000, 2]
    assert decimal_of("0.10") == Decimal("0.10")
    assert [decimal_of(text) for text in ("nan", "inf", "x", "")] == [None] * 4


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("field", ["price", "volume", "qty", "timestamp", "sequence"])
@pytest.mark.parametrize("text", OTHERS)
def test_trades(*, field: str, text: str, ascii_only: bool) -> None:
    """A record with such a text is refused with its field, alone and in lines, with and without escapes."""
    value = json.dumps(text, ensure_ascii=ascii_only).encode()
    raw = with_field(field, value)
    with pytest.raises(InvalidTrade) as refused:
        PARSER.one(raw, NOW)
    assert refused.value.code == {"qty": "volume"}.get(field, field)
    good = with_field("venue", b'"acme_1"')
    taken = Parser(find).lines(good + b"\n" + raw + b"\n", NOW)
    assert (len(taken.trades), [one.index for one in taken.rejected]) == (1, [1])


def test_a_usual_line() -> None:
    """Lines that have all usual fields take a shortcut; a price in other digits does not."""
    line = b'{"asset":"btcusdt","price":%b,"volume":1,"timestamp":1759999940,"venue":"acme","id":"1"}'
    (rejected,) = PARSER.lines(line % b'"6_7123"', NOW).rejected
    assert (rejected.code, rejected.reason) == ("price", "the price must be a number in digits 0 to 9, such as 1000")
    assert len(PARSER.lines(line % b'"67123"', NOW).trades) == 1


@given(st.text(st.sampled_from("0123456789.eE+-_ \N{ARABIC-INDIC DIGIT ONE}"), min_size=1, max_size=8))
def test_the_quick_test_misses_none(text: str) -> None:
    """JSON that has a number in another writing never passes the quick test."""
    try:
        is_number = Decimal(text).is_finite()
    except ArithmeticError:
        is_number = False
    raw = msgspec.json.encode({"price": text, "timestamp_ns": 5})
    if is_number and other_number(raw, {"price"}):
        assert may_have_others(raw)


def test_names_of_fields_cost_nothing() -> None:
    """Underscores in names of fields, as in timestamp_ns, do not need the second look."""
    assert not may_have_others(b'{"price":"10","timestamp_ns":1759999940000000000,"trade_id":"t_1","s":"BTC_USDT"}')


@pytest.mark.parametrize("text", OTHERS)
def test_rules_of_alerts(text: str) -> None:
    """The level of a rule."""
    found = parse_rule(json.dumps({"asset": "btcusdt", "kind": "price", "above": text}).encode())
    assert found == InvalidRule("above must be a number in digits 0 to 9")


@pytest.mark.parametrize("name", ["port", "hot_interval", "max_deviation", "retention_days", "trades_retention"])
@pytest.mark.parametrize("text", OTHERS)
def test_settings(name: str, text: str) -> None:
    """Whole numbers, floats, decimals, those that may be missing, and durations."""
    with pytest.raises(SettingsError) as refused:
        load({name: text})
    assert refused.value.mistakes == [f"--{name.replace('_', '-')} {text}: must be a number in digits 0 to 9"]


def test_a_duration() -> None:
    """Digits before a unit."""
    with pytest.raises(SettingsError):
        load({"trades_retention": "\N{ARABIC-INDIC DIGIT FOUR}8h"})


@pytest.mark.parametrize("text", OTHERS)
def test_other_places(text: str) -> None:
    """Options of commands, and conditions of outlets."""
    parse: Callable[[str], float] = seconds_up_to(10**6)
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)
    with pytest.raises(ValueError, match="with a number only"):
        parse_condition(f"price>{text}")
