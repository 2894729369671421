"""Records of `aggregator produce`, as the service reads them."""

from decimal import Decimal

import pytest

from aggregator.cli.produce.market import Market
from aggregator.cli.produce.records import ENCODERS, VENUE, Times, as_json, as_protobuf
from aggregator.models import Side, trade_key
from aggregator.trades.ingest import Parser
from tests.parts.examples import CATALOG

NOW_US = 1_795_241_427_047_123
ASSETS = list(CATALOG.assets)


def test_json_has_every_field() -> None:
    """The service reads asset, price, volume, time in microseconds, venue, id and side."""
    made = Market(ASSETS, 7).trade()
    (trade,) = Parser(CATALOG.find).document(as_json(made, NOW_US, "7-0"), NOW_US / 1e6).trades
    assert (trade.asset, trade.price, trade.volume) == (made.asset, Decimal(repr(made.price)), Decimal(made.volume))
    assert (trade.timestamp, trade.venue, trade.id) == (NOW_US / 1e6, VENUE, "7-0")
    assert trade.side is (Side.BUY if made.is_buy else Side.SELL)


def test_protobuf_has_the_fields_of_its_message() -> None:
    """Asset, price, volume and time."""
    made = Market(ASSETS, 7).trade()
    (trade,) = Parser(CATALOG.find).protobuf(as_protobuf(made, NOW_US, "7-0"), "", NOW_US / 1e6).trades
    assert (trade.asset, trade.price, trade.volume) == (made.asset, Decimal(repr(made.price)), Decimal(made.volume))
    assert trade.timestamp == NOW_US / 1e6


@pytest.mark.parametrize("name", ENCODERS)
def test_no_two_trades_have_the_same_key(name: str) -> None:
    """Also when the clock stands still: each trade has a microsecond of its own."""
    market, times, parser = Market(ASSETS[:1], 7), Times(), Parser(CATALOG.find)
    values = [ENCODERS[name](market.trade(), times.next(NOW_US * 1000), "same") for _ in range(1_000)]
    parsed = [
        parser.document(value, NOW_US / 1e6) if name == "json" else parser.protobuf(value, "", NOW_US / 1e6)
        for value in values
    ]
    assert [one.rejected for one in parsed] == [[]] * 1_000
    assert len({trade_key(one.trades[0]) for one in parsed}) == 1_000
