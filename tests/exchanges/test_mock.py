"""The mock exchange's dialect: the url and the parse, as a table."""

from decimal import Decimal

import pytest

from aggregator.errors import Undecodable
from aggregator.exchanges.mock import Mock
from aggregator.models import Ticker
from tests.parts.examples import BTC


def test_the_path() -> None:
    """One symbol, one path."""
    assert Mock().path(BTC) == "/mock/ticker/btcusdt"


def test_every_digit_is_kept() -> None:
    """Decimals straight from the bytes; a float would lose the last digits of this price."""
    body = (
        b'{"symbol":"btcusdt","price":79850.120000000000001,"volume":1234567.89,"timestamp":1696118400.123,"extra":1}'
    )
    assert Mock().parse("exchange1", BTC, body) == Ticker(
        "exchange1", "btcusdt", Decimal("79850.120000000000001"), Decimal("1234567.89"), 1696118400.123
    )


def test_the_symbol_is_the_one_answered() -> None:
    """Whether it is the one asked for is pricing's business."""
    body = b'{"symbol":"ethusdt","price":1,"volume":1,"timestamp":1}'
    assert Mock().parse("exchange1", BTC, body).symbol == "ethusdt"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"symbol":"btcusdt"}',
        b'{"symbol":"btcusdt","price":null,"volume":1,"timestamp":1}',
        b'{"symbol":"btcusdt","price":NaN,"volume":1,"timestamp":1}',
        b'{"symbol":"btcusdt","price":true,"volume":1,"timestamp":1}',
        b'{"symbol":"btcusdt","price":"much","volume":1,"timestamp":1}',
        b'{"symbol":"btcusdt","price":1,"volume":1,"timestamp":1e999}',
        b'{"symbol":7,"price":1,"volume":1,"timestamp":1}',
        b'{"symbol":"btcusdt","price":1,"volume":1,"timestamp":1',
        b'{"symbol":"\xff","price":1,"volume":1,"timestamp":1}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_undecodable(body: bytes) -> None:
    """Half a body, another shape, another encoding: one reason for all."""
    with pytest.raises(Undecodable):
        Mock().parse("exchange1", BTC, body)
