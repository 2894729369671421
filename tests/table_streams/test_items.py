"""Items of a table are read as prices and trades, and everything else is refused with its reason."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregator.models import Price, Trade
from aggregator.stores.trades.dynamodb_items import item_of
from aggregator.table_streams.items import InvalidItem, value_of
from aggregator.trades.rejection import REJECTION_CODES
from tests.parts.examples import CATALOG, NOW
from tests.parts.processing import trade

MARKET: dict[str, Any] = {
    "symbol": {"S": "BTC-USDT"},
    "timestamp": {"N": str(int(NOW * 1000))},
    "price": {"N": "70000.123456789"},
}


def read(item: object) -> Price | Trade:
    """Read an item at the time of the examples."""
    return value_of(msgspec.json.encode(item), CATALOG, NOW)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btc-usdt", "BTC/USDT", "btc_usdt"])
def test_an_item_of_another_writer_is_a_price(symbol: str) -> None:
    """The time is in milliseconds; every digit of the price is kept."""
    found = read(MARKET | {"symbol": {"S": symbol}})
    assert isinstance(found, Price)
    assert (found.asset, found.price, found.timestamp) == ("btcusdt", Decimal("70000.123456789"), NOW)
    assert found.sources == ()


def test_numbers_may_be_texts() -> None:
    """As writers without a type for numbers send them."""
    texts = {name: {"S": MARKET[name]["N"]} for name in ("timestamp", "price")}
    assert read(MARKET | texts) == read(MARKET)


def test_an_item_of_our_trades_is_the_trade() -> None:
    """With its id and venue, so that its key is the same."""
    written = trade(1, "btcusdt", timestamp=NOW)
    assert read(item_of(written, 3600)) == written


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (MARKET | {"symbol": {"S": "nosuch"}}, "not listed"),
        (MARKET | {"symbol": {"N": "1"}}, "no symbol"),
        (MARKET | {"price": {"N": "0"}}, "price must be"),
        (MARKET | {"price": {"S": "NaN"}}, "price must be"),
        (MARKET | {"price": {"S": "1e999999"}}, "price must be"),
        (MARKET | {"price": {"BOOL": True}}, "no symbol, timestamp and price"),
        (MARKET | {"timestamp": {"N": "5"}}, "timestamp must be"),
        (MARKET | {"timestamp": {"N": str(int(NOW * 1000) + 60_000)}}, "ahead of our clock"),
        ({"asset": {"S": "nosuch"}, "timestamp": {"N": "1"}, "price": {"N": "1"}}, "not listed"),
        ({"asset": {"S": "btcusdt"}}, "no price"),
        ({"asset_shard": {"S": "btcusdt#1"}}, "no trade"),
        ({}, "no symbol"),
        ([], "Expected `object`"),
        ({"symbol": "btcusdt"}, "Expected `object`"),
    ],
)
def test_anything_else_is_refused(item: object, reason: str) -> None:
    """The reason goes into the dead letter; the code tells items of assets that are not listed."""
    with pytest.raises(InvalidItem, match=reason) as caught:
        read(item)
    assert (caught.value.code == "asset") is (reason == "not listed")
    assert caught.value.code in REJECTION_CODES


def test_rubbish_is_refused() -> None:
    """A record need not be JSON."""
    with pytest.raises(InvalidItem):
        value_of(b"\xff{", CATALOG, NOW)
