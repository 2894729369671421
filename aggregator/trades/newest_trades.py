"""The last trade and the newest features of each asset, from several sources that may be late. Pure."""

from collections.abc import Container, Sequence

from aggregator.models import FUTURE_TOLERANCE, Trade, trade_key
from aggregator.trades.features import Features
from aggregator.trades.ports import LastTrades


class NewestTrades:
    """`aggregator.trades.ports.LastTrades` of values that come in any order, several times, or too late.

    Only values of `assets` are kept. A value from the future comes from a process with a wrong clock: the next value
    replaces it, because it would hide all others until that time.
    """

    def __init__(self, assets: Container[str]) -> None:
        self._assets = assets
        self._quotes: dict[str, Trade] = {}
        self._features: dict[str, Features] = {}

    def features(self, asset: str) -> Features | None:
        """As `LastTrades.features`."""
        return self._features.get(asset)

    def quote(self, asset: str) -> Trade | None:
        """As `LastTrades.quote`."""
        return self._quotes.get(asset)

    def take_trades(self, trades: Sequence[Trade], now: float) -> None:
        """Keep each trade that comes after the held one of its asset, in the order of `trade_key`."""
        quotes, latest = self._quotes, now + FUTURE_TOLERANCE
        for trade in trades:
            held = quotes.get(trade.asset)
            if held is None:
                if trade.asset in self._assets:
                    quotes[trade.asset] = trade
            elif trade.timestamp > held.timestamp or held.timestamp > latest or _follows(trade, held):
                quotes[trade.asset] = trade

    def take_features(self, values: Sequence[Features], now: float) -> None:
        """Keep each value with a later `window_end`, or the same and a later `updated_at`, than the held one."""
        features, latest = self._features, now + FUTURE_TOLERANCE
        for value in values:
            held = features.get(value.asset)
            if held is None:
                if value.asset in self._assets:
                    features[value.asset] = value
            elif held.window_end > latest or _order(value) > _order(held):
                features[value.asset] = value


class NewerOfBoth:
    """`aggregator.trades.ports.LastTrades` from two of them: the newer value, and of equal ones the first."""

    def __init__(self, first: LastTrades, second: LastTrades) -> None:
        self._first = first
        self._second = second

    def features(self, asset: str) -> Features | None:
        """As `LastTrades.features`."""
        one, other = self._first.features(asset), self._second.features(asset)
        if one is None or other is None:
            return one or other
        return other if _order(other) > _order(one) else one

    def quote(self, asset: str) -> Trade | None:
        """As `LastTrades.quote`."""
        one, other = self._first.quote(asset), self._second.quote(asset)
        if one is None or other is None:
            return one or other
        return other if trade_key(other) > trade_key(one) else one


def _follows(trade: Trade, held: Trade) -> bool:
    return trade.timestamp == held.timestamp and trade_key(trade) > trade_key(held)


def _order(features: Features) -> tuple[float, float]:
    return features.window_end, features.updated_at
