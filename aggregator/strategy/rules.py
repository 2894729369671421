"""The rules of the paper strategy, as a state machine for each asset. Pure.

| state | trade | signal | next state |
| --- | --- | --- | --- |
| nothing is open | momentum <= -drop | buy, because of the drop | a position is open |
| a position is open | price >= entry x (1 + gain) | sell, because of the gain | nothing is open |
| a position is open | price <= entry x (1 - stop) | sell, because of the stop | nothing is open |

Only a trade that is later than the last signal of its asset can make a signal: there is at most one at a time, and the
time of the last one tells which trades a replay has to skip. Amounts of money are exact. The momentum is the float of
the features, the nearest to the exact percentage.
"""

from decimal import ROUND_DOWN, Context, Decimal
from hashlib import blake2b
from math import inf
from typing import Literal

import msgspec

from aggregator.models import Trade
from aggregator.strategy.ports import Position

_DIGITS = 200  # a product of a quantity and a price has 38 + 57 at most
_LOT = Decimal("1e-8")  # quantities are multiples of it


class Rules(msgspec.Struct, frozen=True):
    """The parameters. `drop`, `gain` and `stop` are in percent, `amount` is what a buy spends, in quote units.

    The gain and the stop are measured from the entry price. Without a `stop`, a position is sold with a gain only.
    """

    drop: Decimal
    gain: Decimal
    stop: Decimal | None
    amount: Decimal


class AssetStrategy:
    """The strategy of one asset. It continues from an open `position`, or from none.

    Trades that are not later than `since`, the time of the last signal, are skipped.
    """

    __slots__ = ("_exact", "_rules", "_stop_price", "_target", "_threshold", "position", "since")

    def __init__(self, rules: Rules, position: Position | None = None, since: float = -inf) -> None:
        self._rules = rules
        self._exact = Context(prec=_DIGITS, rounding=ROUND_DOWN)
        # Both sides of the comparison are rounded alike: a drop of exactly 0.3 % is one of 0.3.
        self._threshold = -float(rules.drop)
        self._target: Decimal = Decimal(0)
        self._stop_price: Decimal | None = None
        self.position = position
        self.since = since
        if position is not None:
            self._watch(position)

    def take(self, trade: Trade, momentum: float | None) -> Position | None:
        """Take the next trade; return the position that it opens or closes, None if it makes no signal.

        `momentum` is in percent, None while it is not known. Trades come in the order of their times.
        """
        if self.position is None:
            if momentum is None or momentum > self._threshold or trade.timestamp <= self.since:
                return None
            return self._buy(trade)
        if trade.price >= self._target:
            reason: Literal["gain", "stop"] = "gain"
        elif self._stop_price is not None and trade.price <= self._stop_price:
            reason = "stop"
        else:
            return None
        return None if trade.timestamp <= self.since else self._sell(self.position, trade, reason)

    def _buy(self, trade: Trade) -> Position | None:
        """Open a position; return None where the amount is too small for a lot."""
        quantity = self._exact.divide(self._rules.amount, trade.price).quantize(_LOT, ROUND_DOWN, self._exact)
        if not quantity:
            return None
        position = Position(position_id(trade), trade.asset, quantity, trade.price, trade.timestamp)
        self.position, self.since = position, trade.timestamp
        self._watch(position)
        return position

    def _sell(self, position: Position, trade: Trade, reason: Literal["gain", "stop"]) -> Position:
        """Close the position."""
        profit = self._exact.multiply(position.quantity, self._exact.subtract(trade.price, position.entry_price))
        self.position, self.since = None, trade.timestamp
        return msgspec.structs.replace(
            position, exit_price=trade.price, exit_time=trade.timestamp, profit=profit, exit_reason=reason
        )

    def _watch(self, position: Position) -> None:
        """Set the prices at which a position is closed."""
        self._target = self._moved(position.entry_price, self._rules.gain)
        stop = self._rules.stop
        self._stop_price = None if stop is None else self._moved(position.entry_price, -stop)

    def _moved(self, price: Decimal, percent: Decimal) -> Decimal:
        """Return the price moved by so many percent, exactly."""
        return self._exact.multiply(price, self._exact.add(Decimal(1), percent.scaleb(-2, self._exact)))


def position_id(trade: Trade) -> str:
    """Return the id of the position that a trade opens: the same in every process, and at every replay."""
    key = f"{trade.asset}\x1f{trade.timestamp!r}\x1f{trade.venue}\x1f{trade.id}"
    return blake2b(key.encode(), digest_size=12).hexdigest()
