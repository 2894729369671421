"""The values and their mapping to JSON."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Tier, decode_price, encode, price_body, time_ago
from tests.parts.examples import NOW, price


def test_a_price_survives_its_json() -> None:
    """A price keeps every digit and the exchanges left out."""
    assert decode_price(encode(price())) == price()


@given(st.decimals(min_value="1e-30", max_value="1e30", allow_nan=False), st.floats(0, 4e9))
def test_any_price_survives_its_json(amount: Decimal, timestamp: float) -> None:
    """Decimals and times are decoded as they were encoded."""
    one = price(timestamp=timestamp, amount=str(amount))
    back = decode_price(encode(one))
    assert (back.price, back.timestamp) == (one.price, one.timestamp)


def test_garbage_is_no_price() -> None:
    """Other bytes raise an error and never become a zero."""
    for raw in (b"null", b"{}", b"", b'{"asset":"btcusdt","price":0}'):
        with pytest.raises(msgspec.DecodeError):
            decode_price(raw)


def test_the_body_is_as_documented() -> None:
    """The body has the documented names, order and formats, in UTC."""
    body = json.loads(encode(price_body(price(timestamp=1696161600.25), Tier.HOT, 1696161605.5, stale_after=7.5)))
    assert body == {
        "asset": "btcusdt",
        "price": 79450.12,
        "last_updated": "2023-10-01 12:00:00",
        "timestamp_iso": "2023-10-01T12:00:00.250Z",
        "time_ago": "5s ago",
        "refresh_tier": "hot",
        "timestamp": 1696161600.25,
        "sources": 2,
        "spread": 0.0002019346379,
        "stale": False,
        "degraded": True,
    }


def test_degraded_follows_from_the_exchanges_left_out() -> None:
    """`degraded` follows from the exchanges left out, which stores keep; without any, all had a part."""
    kept = b'{"asset":"btcusdt","price":1,"timestamp":1.0,"tier":"hot","spread":0,"updated_at":1.0,"sources":[]%b}'
    told = b',"left_out":[{"exchange":"exchange2","reason":"%b"}]'
    assert decode_price(kept % (told % b"late")).degraded is True
    assert decode_price(kept % (told % b"not_listed")).degraded is False
    assert decode_price(kept % b"").degraded is False
    assert b"degraded" not in encode(price())  # so that processes of either version read each other's


def test_stale_begins_after_its_age() -> None:
    """A price of exactly the stale age is fresh; a time slightly ahead has age 0 and is fresh."""
    assert not price_body(price(), Tier.HOT, NOW + 7.5, 7.5).stale
    assert price_body(price(), Tier.HOT, NOW + 7.501, 7.5).stale
    ahead = price_body(price(), Tier.HOT, NOW - 4, 7.5)
    assert (ahead.time_ago, ahead.stale) == ("0s ago", False)
    of_the_future = price_body(price(), Tier.HOT, NOW - 5.001, 7.5)  # made by a wrong clock: its age is unknown
    assert (of_the_future.time_ago, of_the_future.stale) == ("0s ago", True)


@pytest.mark.parametrize(
    ("age", "shown"),
    [(0, "0s ago"), (59.9, "59s ago"), (60, "1m ago"), (3599, "59m ago"), (3600, "1h ago"), (86_400 * 3, "3d ago")],
)
def test_time_ago(age: float, shown: str) -> None:
    """An age is rounded down, in the largest unit that fits."""
    assert time_ago(age) == shown
