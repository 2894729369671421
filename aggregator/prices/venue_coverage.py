"""Where assets are traded, as far as the exchanges tell, and whether that is enough to make a price."""

from collections.abc import Iterable, Mapping, Sequence

from aggregator.models import Asset
from aggregator.ports import Exchange


class VenueCoverage:
    """How many exchanges trade each asset, and how many it takes; nothing, before it was counted or taken."""

    def __init__(self) -> None:
        self.need = 0
        self.venues: Mapping[str, int] = {}
        self.too_few: frozenset[str] = frozenset()  # the assets of which no price can be made
        self.counts = 0  # how often it was counted or taken

    def count(self, exchanges: Sequence[Exchange], assets: Iterable[Asset], need: int) -> None:
        """Ask each exchange what it trades; those that do not tell count as trading it."""
        trades = [exchange.trades for exchange in exchanges]
        self.replace({one.symbol: sum(trade(one.symbol) is not False for trade in trades) for one in assets}, need)

    def replace(self, venues: Mapping[str, int], need: int) -> None:
        """Know this and nothing else."""
        self.need = need
        self.venues = venues
        self.too_few = frozenset(symbol for symbol, count in venues.items() if count < need)
        self.counts += 1
