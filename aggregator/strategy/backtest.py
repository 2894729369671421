"""The paper strategy over stored trades: the features and the rules of the service, page by page in bounded memory.

Trades come in the order of their keys. A service takes them in the order of their arrival, and evaluates none that
comes after a newer one of its asset: where trades came in order, both find the same positions to the digit.
"""

import math
from collections.abc import AsyncIterator, Sequence

from aggregator.models import Trade, trade_key
from aggregator.ports import RangeTooLong
from aggregator.strategy.ports import Position
from aggregator.strategy.rules import AssetStrategy, Rules
from aggregator.trades.features import MINUTE, AssetFeatures
from aggregator.trades.ports import TradeReader

_PAGE = 1000


class AssetBacktest:
    """The strategy of one asset over its trades. `most` bounds the trades of its window, `lateness` is in seconds."""

    def __init__(self, asset: str, rules: Rules, most: int, lateness: float) -> None:
        self._operator = AssetFeatures(asset, most, lateness)
        self._strategy = AssetStrategy(rules)

    @property
    def open(self) -> Position | None:
        """The position that is open."""
        return self._strategy.position

    def warm_up(self, trades: Sequence[Trade]) -> None:
        """Take trades into the window only; they come before all others."""
        for trade in trades:
            if not trade.late:
                self._operator.update(trade)

    def take(self, trades: Sequence[Trade]) -> list[Position]:
        """Take the next trades, in the order of their keys; return the positions that they close."""
        closed = []
        for trade in trades:
            if not trade.late and self._operator.update(trade):
                position = self._strategy.take(trade, self._operator.values(trade.timestamp).price_momentum)
                if position is not None and position.exit_time is not None:
                    closed.append(position)
        return closed


async def run_backtest(
    one: AssetBacktest, reader: TradeReader, asset: str, start: float, end: float, most: int
) -> AsyncIterator[tuple[int, list[Position]]]:
    """Run a backtest over the trades of an asset with start <= timestamp <= end, in unix seconds.

    Yield the number of trades of each page, and the positions that they close. `most` bounds the trades before `start`
    that are read for the momentum of the first ones. Raises StoreError and RangeTooLong.
    """
    one.warm_up(await _before(reader, asset, start, most))
    after = None
    while True:
        page = await reader.trades(asset, start, end, _PAGE, newest_first=False, after=after)
        yield len(page), one.take(page)
        if len(page) < _PAGE:
            return
        after = trade_key(page[-1])


async def _before(reader: TradeReader, asset: str, start: float, most: int) -> list[Trade]:
    """Return the trades before `start` on which momentum depends: the last minute, and the newest one before that."""
    found: list[Trade] = []
    end, after = math.nextafter(start, -math.inf), None
    while len(found) < most:
        try:
            page = await reader.trades(asset, 0, end, _PAGE, newest_first=True, after=after)
        except RangeTooLong:  # there is none for long
            break
        for trade in page:
            found.append(trade)
            if not trade.late and trade.timestamp <= start - MINUTE:
                return found[::-1]
        if len(page) < _PAGE:
            break
        after = trade_key(page[-1])
    return found[::-1]
