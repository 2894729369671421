"""An exchange with what became of its tickers, which only the refresher knows."""

from aggregator.exchanges.wrapped import WrappedExchange
from aggregator.ports import Exchange
from aggregator.prices.rejections import Rejections


class JudgedExchange(WrappedExchange):
    """As `inner`, and it says why its tickers are rejected, as `rejections` has it."""

    def __init__(self, inner: Exchange, rejections: Rejections) -> None:
        super().__init__(inner)
        self._rejections = rejections

    @property
    def rejection(self) -> str:
        """Why its tickers are rejected, and of how many assets; empty while they count."""
        return str(self._rejections.of(self.name) or "")
