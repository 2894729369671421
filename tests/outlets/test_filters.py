"""Which events pass the filter of an outlet."""

import pytest

from aggregator.outlets.filters import Filter, Gaps, parse_condition
from aggregator.outlets.ports import OutletEvent


def event(timestamp: float = 1.0, topic: str = "prices", asset: str = "btcusdt", body: bytes = b"{}") -> OutletEvent:
    """Return an event of a hot asset."""
    return OutletEvent(topic, asset, f"{topic} {asset} {timestamp}", timestamp, body, "hot")


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Filter(frozenset({"prices"})), True),
        (Filter(frozenset({"trades"})), False),
        (Filter(frozenset({"prices"}), assets=frozenset({"ethusdt"})), False),
        (Filter(frozenset({"prices"}), assets=frozenset({"btcusdt"}), tiers=frozenset({"hot"})), True),
        (Filter(frozenset({"prices"}), tiers=frozenset({"cold"})), False),
    ],
)
def test_topic_asset_and_tier(wanted: Filter, *, passes: bool) -> None:
    """An event passes if all parts of the filter match."""
    assert wanted.wants(event()) is passes


@pytest.mark.parametrize(
    ("condition", "body", "passes"),
    [
        ("anomaly_score<-0.6", b'{"anomaly_score":-0.7}', True),
        ("anomaly_score<-0.6", b'{"anomaly_score":-0.6}', False),
        ("anomaly_score <= -0.6", b'{"anomaly_score":-0.6}', True),
        ("price>100", b'{"price":"100.5"}', True),
        ("price>100", b'{"price":null}', False),
        ("price>100", b"{}", False),
        ("price>0.1", b'{"price":0.10000000000000000001}', True),
        ("price>100", b"[]", False),
        ("side=sell", b'{"side":"sell"}', True),
        ("side!=sell", b'{"side":"sell"}', False),
        ("late=true", b'{"late":true}', True),
    ],
)
def test_a_condition_on_a_field(condition: str, body: bytes, *, passes: bool) -> None:
    """Numbers are compared as numbers; a missing field, or one of another kind, does not match."""
    wanted = Filter(frozenset({"prices"}), where=(parse_condition(condition),))
    assert wanted.wants(event(body=body)) is passes


def test_the_gap_is_between_events_of_one_topic_and_asset() -> None:
    """Of events that are closer than the gap, the first passes; the same event passes again."""
    gaps = Gaps(10)
    times = [0.0, 5.0, 9.9, 10.0, 10.0, 19.0, 21.0]
    assert [gaps.passes(event(time)) for time in times] == [True, False, False, True, True, False, True]
    assert gaps.passes(event(21.5, asset="ethusdt"))
    assert gaps.passes(event(21.5, topic="anomalies"))
