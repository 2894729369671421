"""Items of a DynamoDB table as prices and trades. Pure.

| item | has | becomes |
| --- | --- | --- |
| of any other writer | symbol, timestamp (s, ms, us or ns), price | a price without sources |
| of our table of prices | asset, timestamp (seconds), price and more | the price |
| of our table of trades | asset_shard, time_id, price and more | the trade |
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from aggregator.errors import StoreRefused
from aggregator.models import Price, Tier, Trade
from aggregator.prices.tiers import Catalog
from aggregator.stores.dynamodb.table import price_of
from aggregator.stores.trades.dynamodb_items import PARTITION, trade_of
from aggregator.trades.validation import InvalidTrade, checked_trade, seconds_of

Item = dict[str, dict[str, Any]]

_OTHERS = "-/_"  # between base and quote
_item = msgspec.json.Decoder(Item)


class InvalidItem(Exception):
    """An item that is neither price nor trade of a listed asset. `code` is one of REJECTION_CODES.

    The message is the reason in words.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def value_of(data: bytes, catalog: Catalog, arrived: float) -> Price | Trade:
    """Return the price or trade in the JSON of an item that was written at unix second `arrived`.

    Raises InvalidItem.
    """
    try:
        item = _item.decode(data)
        if PARTITION in item:
            return _listed(trade_of(item), catalog)
        if "asset" in item:
            return _listed(price_of(item), catalog)
        return _market_price(item, catalog, arrived)
    except InvalidTrade as error:
        raise InvalidItem(error.code, str(error)) from error
    except (StoreRefused, msgspec.MsgspecError) as error:
        raise InvalidItem("malformed", str(error)) from error
    except (KeyError, ValueError, ArithmeticError) as error:
        raise InvalidItem("malformed", "the item has no symbol, timestamp and price") from error


def _market_price(item: Item, catalog: Catalog, arrived: float) -> Price:
    symbol = str(item["symbol"]["S"])[:64].lower()
    checked = checked_trade(
        catalog.find,
        "".join(one for one in symbol if one not in _OTHERS),
        Decimal(_text(item["price"])),
        None,
        seconds_of(_text(item["timestamp"])),
        "table",
        symbol or "-",
        None,
        None,
        arrived,
    )
    asset = catalog.find(checked.asset)
    tier = Tier.COLD if asset is None else asset.tier
    return Price(checked.asset, checked.price, checked.timestamp, tier, Decimal(0), arrived, ())


def _text(value: Mapping[str, Any]) -> str:
    """Return a number that was written as a number or as text."""
    return str(value["N"] if "N" in value else value["S"])


def _listed(value: Price | Trade, catalog: Catalog) -> Price | Trade:
    if catalog.find(value.asset) is None:
        raise InvalidItem("asset", f"the asset {value.asset[:40]!r} is not listed")
    return value
