"""The state of a processor by asset: last trades, windows, features; and what the analytics get of it."""

from collections.abc import Callable, Sequence

import msgspec

from aggregator.models import Trade, trade_key
from aggregator.trades.analytic import Analytic, Measured
from aggregator.trades.features import AssetFeatures, Features, FeaturesState
from aggregator.trades.minute_closes import NO_CLOSES, Closes


class AssetStates(msgspec.Struct, frozen=True):
    """The state of a processor, by asset: newest times of the log, last trades, operators, features.

    The analytics take each measured trade. `lateness` is in seconds, `most` bounds the trades of one asset's window,
    `now` is unix seconds. `closes` get the features of each minute.
    """

    lateness: float
    most: int
    now: Callable[[], float]
    newest: dict[str, float]
    quotes: dict[str, Trade]
    operators: dict[str, AssetFeatures]
    features: dict[str, Features]
    analytics: Sequence[Analytic]
    closes: Closes = NO_CLOSES

    def operator(self, asset: str) -> AssetFeatures:
        """Return the operator of an asset; a new one if there is none."""
        operator = self.operators.get(asset)
        if operator is None:
            operator = self.operators[asset] = AssetFeatures(asset, self.most, self.lateness)
        return operator

    def is_late(self, trade: Trade) -> bool:
        """Whether the next trade of the log is too far behind the newest one of its asset."""
        newest = self.newest.get(trade.asset)
        return newest is not None and trade.timestamp < newest - self.lateness

    def knows(self, trade: Trade) -> bool:
        """Whether a trade of a snapshot of this state would be recognised, or too late, if it were measured again."""
        quote = self.quotes.get(trade.asset)
        return quote is not None and (trade.timestamp < quote.timestamp - self.lateness or self.has_measured(trade))

    def has_measured(self, trade: Trade) -> bool:
        """Whether the window of its asset has a trade that is not late."""
        operator = self.operators.get(trade.asset)
        return operator is not None and operator.has(trade)

    def measure(self, trade: Trade) -> list[Measured]:
        """Take a trade that was published before, in the order of the log; return it if analytics are to take it."""
        asset, timestamp = trade.asset, trade.timestamp
        known, newest = self.quotes.get(asset), self.newest.get(asset)
        is_newest = known is None or _is_newer(trade, known)
        if is_newest:
            self.quotes[asset] = trade
        if newest is None or timestamp > newest:
            self.newest[asset] = timestamp
        elif timestamp < newest - self.lateness:
            return []
        return self.update(trade, is_newest=is_newest)

    def update(self, trade: Trade, *, is_newest: bool) -> list[Measured]:
        """Take a trade that is not late into the windows; return it if analytics are to take it."""
        operator = self.operator(trade.asset)
        if operator.update(trade) and is_newest and self.analytics:
            return [Measured(trade, operator.values(self.now()), live=False)]
        return []

    def analyse(self, measured: Sequence[Measured]) -> None:
        """Pass measured trades to the analytics."""
        if measured:
            for analytic in self.analytics:
                analytic.take(measured)

    def measure_new(
        self, new: Sequence[Trade], again: frozenset[Trade] = frozenset()
    ) -> tuple[list[Features], list[Measured], int]:
        """Take new trades into the windows; `again` are those of them that an earlier owner has stored.

        Return the features of the assets that changed, those at each trade for the analytics, and the number of late
        trades. One asset after the other: the state of 1,000 assets does not fit the CPU's cache, that of one does.
        """
        now, late, for_analytics = self.now(), 0, bool(self.analytics)
        features: list[Features] = []
        measured: list[Measured] = []
        for asset, trades in by_asset(new).items():
            quote, operator, changed = self.quotes.get(asset), self.operators.get(asset), False
            one: Features | None = None  # at the last trade
            end = self.closes.end_of(asset)
            for trade in trades:
                timestamp = trade.timestamp
                if quote is None or timestamp > quote.timestamp or _is_newer(trade, quote):
                    quote = self.quotes[asset] = trade
                if trade.late:
                    late += 1
                    continue
                if timestamp >= end:
                    end = self.closes.roll(timestamp, operator)
                if operator is None:
                    operator = self.operator(asset)
                if operator.update(trade):
                    changed, one = True, None
                    if for_analytics and quote is trade:
                        one = operator.values(now)
                        measured.append(Measured(trade, one, live=not again or trade not in again))
            if operator is not None and changed:
                one = self.features[asset] = one or operator.values(now)
                features.append(one)
                self.closes.begun(asset, end, operator)
        return features, measured, late

    def value(self, asset: str) -> None:
        """Set the features of an asset from its operator."""
        if asset in self.operators:
            self.features[asset] = self.operators[asset].values(self.now())

    def restore(self, asset: str, quote: Trade, state: FeaturesState) -> None:
        """Continue with the last trade of an asset and the state of its operator."""
        self.quotes[asset], self.newest[asset] = quote, quote.timestamp
        self.operator(asset).restore(state)
        self.value(asset)

    def forget(self, asset: str) -> None:
        """Forget an asset."""
        for known in (self.newest, self.quotes, self.operators, self.features):
            known.pop(asset, None)
        self.closes.forget(asset)


def _is_newer(trade: Trade, other: Trade) -> bool:
    """Whether a trade comes after another one of its asset."""
    if trade.timestamp != other.timestamp:
        return trade.timestamp > other.timestamp
    return trade_key(trade) > trade_key(other)


def by_asset(trades: Sequence[Trade]) -> dict[str, list[Trade]]:
    """Return the trades of each asset, in their order."""
    found: dict[str, list[Trade]] = {}
    for trade in trades:
        others = found.get(trade.asset)
        if others is None:
            found[trade.asset] = [trade]
        else:
            others.append(trade)
    return found
