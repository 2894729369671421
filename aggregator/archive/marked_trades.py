"""A store of trades that marks the ranges of what it stores, for the archive."""

from collections.abc import Sequence

from aggregator.archive.marker import Marker
from aggregator.models import Trade, TradeKey
from aggregator.trades.ports import TradeStore


class MarkedTrades:
    """`aggregator.trades.ports.TradeStore` in front of another one."""

    def __init__(self, store: TradeStore, marker: Marker) -> None:
        self.name = store.name
        self._store = store
        self._marker = marker

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`."""
        seconds = self._marker.seconds
        starts = {int(trade.timestamp) // seconds for trade in trades}
        assets = {trade.asset for trade in trades}
        async with self._marker.storing({start * seconds for start in starts}, assets):
            return await self._store.add(trades)

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`."""
        return await self._store.trades(asset, start, end, limit, newest_first=newest_first, after=after)

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`."""
        return await self._store.latest(assets)

    async def run(self) -> None:
        """As `TradeStore.run`."""
        await self._store.run()

    async def ping(self) -> None:
        """As `TradeStore.ping`."""
        await self._store.ping()

    async def close(self) -> None:
        """As `TradeStore.close`."""
        await self._store.close()
