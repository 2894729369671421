"""The topics of the trade stream: every stored trade, and the features of an asset after a micro-batch."""

from decimal import Decimal

import msgspec

from aggregator.live.topics import Retention, Topic
from aggregator.models import Side, Trade
from aggregator.trades.features import Features


class ShownTrade(msgspec.Struct, frozen=True):
    """A trade as streams send it: all fields of a Trade, null where one is unknown.

    `late`: the trade came too long after newer ones of its asset to have a part in windows.
    """

    asset: str
    price: Decimal
    volume: Decimal | None
    timestamp: float
    venue: str
    id: str
    side: Side | None
    sequence_number: int | None
    late: bool


def _traded(trade: Trade) -> str:
    return trade.asset


def _measured(features: Features) -> str:
    return features.asset


TRADES = Topic("trades", "trade", Trade, asset=_traded, shown=ShownTrade, retention=Retention(events=10_000))
FEATURES = Topic("features", "feature", Features, asset=_measured, retention=Retention(events=5_000))
