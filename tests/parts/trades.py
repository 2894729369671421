"""A topic that only tests have: what a new topic needs is this declaration, and its name where a bus is created."""

from decimal import Decimal

import msgspec

from aggregator.live.topics import Retention, Topic


class Trade(msgspec.Struct, frozen=True):
    """One execution at an exchange."""

    asset: str
    id: int
    price: Decimal


def _asset(trade: Trade) -> str:
    return trade.asset


TRADES = Topic("trades", "trade", Trade, asset=_asset, retention=Retention(events=50))


def trade(number: int, asset: str = "asset1") -> Trade:
    """Return the trade with this id."""
    return Trade(asset, number, Decimal(number) / 8)
