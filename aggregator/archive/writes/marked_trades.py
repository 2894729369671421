"""A store of trades that marks the ranges of what it stores, for the archive."""

from collections.abc import Sequence

from aggregator.archive.writes.marker import Marker
from aggregator.models import Trade
from aggregator.trades.ports import TradeStore


class MarkedTrades:
    """`aggregator.trades.ports.TradeStore` in front of another one."""

    def __init__(self, store: TradeStore, marker: Marker) -> None:
        self._store = store
        self._marker = marker
        self.name = store.name
        self.trades, self.latest = store.trades, store.latest
        self.ping, self.run, self.close = store.ping, store.run, store.close

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`."""
        seconds = self._marker.seconds
        starts = {int(trade.timestamp) // seconds for trade in trades}
        assets = {trade.asset for trade in trades}
        async with self._marker.storing({start * seconds for start in starts}, assets):
            return await self._store.add(trades)
