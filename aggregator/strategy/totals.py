"""Totals of closed positions, and positions as rows of a table. Pure."""

from decimal import Context, Decimal

import msgspec

from aggregator.strategy.ports import Position, Totals

COLUMNS = (
    "id",
    "asset",
    "quantity",
    "entry_price",
    "entry_time",
    "exit_price",
    "exit_time",
    "profit",
    "exit_reason",
    "paper",
)
UNKNOWN = "unknown"  # the quote currency of an asset whose symbols file names none
_DIGITS = 250  # of a sum of profits, which have 200 at most


class Tally:
    """Adds up closed positions. Sums are exact."""

    def __init__(self) -> None:
        self.closed = self.won = 0
        self.profit: dict[str, Decimal] = {}  # by quote currency
        self._exact = Context(prec=_DIGITS)

    def add(self, position: Position, quote: str) -> None:
        """Add a closed position of an asset with this quote currency."""
        profit, quote = position.profit or Decimal(0), quote or UNKNOWN
        self.closed += 1
        self.won += profit > 0
        self.profit[quote] = self._exact.add(self.profit.get(quote, Decimal(0)), profit)

    def totals(self) -> Totals:
        """Return the totals so far."""
        return Totals(self.closed, self.won, dict(self.profit))


def row_of(position: Position) -> dict[str, object]:
    """Return a position as a row with COLUMNS; times are unix seconds."""
    return {**msgspec.structs.asdict(position), "paper": True}
