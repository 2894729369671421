"""The topics of the trade stream: every stored trade, and the features of an asset after a micro-batch."""

from aggregator.live.topics import Retention, Topic
from aggregator.models import Trade
from aggregator.trades.features import Features


def _traded(trade: Trade) -> str:
    return trade.asset


def _measured(features: Features) -> str:
    return features.asset


TRADES = Topic("trades", "trade", Trade, asset=_traded, retention=Retention(events=10_000))
FEATURES = Topic("features", "feature", Features, asset=_measured, retention=Retention(events=5_000))
