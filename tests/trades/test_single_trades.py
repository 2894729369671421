"""A single trade as JSON: the shortcut for the usual form gives what the rules for all records give."""

import json

import pytest

from aggregator.models import Trade
from aggregator.trades.validation import InvalidTrade
from tests.parts.examples import NOW
from tests.trades.test_ingest import PARSER

USUAL = {"asset": "btcusdt", "price": 79450.12, "volume": 0.25, "timestamp": NOW - 1.5, "venue": "kraken", "id": "1"}


def found(raw: bytes, *, shortcut: bool) -> Trade | str:
    """Return the trade, or the code of the rejection."""
    try:
        return PARSER.single(raw, NOW) if shortcut else PARSER.one(raw, NOW)
    except InvalidTrade as error:
        return error.code


def as_json(**fields: object) -> bytes:
    """Return a trade in the usual form, with other values in some fields."""
    return json.dumps(USUAL | fields).encode()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (as_json(), ""),
        (as_json(side="sell"), ""),
        (as_json(side="SELL"), ""),
        (as_json(side="up"), "side"),
        (as_json(price="79450.120"), ""),
        (as_json(price=0), "price"),
        (as_json(volume=-1), "volume"),
        (as_json(timestamp=int(NOW)), ""),
        (as_json(timestamp=int(NOW * 1000)), ""),
        (as_json(timestamp=NOW + 3600), "future"),
        (as_json(timestamp=str(NOW)), ""),
        (as_json(id=17), ""),
        (as_json(id=""), "id"),
        (as_json(id="a\nb"), "id"),
        (as_json(venue="v" * 33), "venue"),
        (as_json(asset="BTC-USDT"), ""),
        (as_json(asset="nosuch"), "asset"),
        (as_json(sequence=5), ""),
        (as_json(other="ignored"), ""),
        (json.dumps(USUAL, indent=1).encode(), ""),
        (b"\n " + as_json() + b"\n\n", ""),
        (as_json() + b"\n" + as_json(id="2"), "malformed"),
        (b"[" + as_json() + b"]", "malformed"),
        (b"\xef\xbb\xbf" + as_json(), "malformed"),
        (b"", "malformed"),
        (b"\n", "malformed"),
    ],
)
def test_the_shortcut_agrees_with_the_rules(raw: bytes, code: str) -> None:
    """The same trade, or a rejection with the same code; an empty one stands for a trade."""
    PARSER.one(as_json(), NOW)  # the shortcut is for venues that are known
    trade = found(raw, shortcut=False)
    assert found(raw, shortcut=True) == trade
    assert (trade if isinstance(trade, str) else "") == code
