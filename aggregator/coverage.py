"""Where assets are traded, as far as the exchanges tell, and whether that is enough to make a price."""

from collections.abc import Sequence

from aggregator.ports import Exchange


class Coverage:
    """By `exchanges`, of which `need` make a price; those that do not tell what they trade count as trading it."""

    def __init__(self, exchanges: Sequence[Exchange], need: int) -> None:
        self._exchanges = exchanges
        self._need = need

    def venues(self, symbol: str) -> int:
        """Return how many exchanges trade the asset."""
        return sum(exchange.trades(symbol) is not False for exchange in self._exchanges)

    def too_few(self, symbol: str) -> bool:
        """Whether so few trade it that no price can be made."""
        return self.venues(symbol) < self._need
