"""Stored trades, and behind them those of the archive."""

import asyncio
from collections.abc import Callable, Sequence

from aggregator.archive.reads.archive_reads import ArchiveReads
from aggregator.archive.reads.archived_rows import TRADE_ROWS
from aggregator.archive.reads.pages import Page
from aggregator.archive.reads.seam import Seam
from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.trades.ports import TradeReader


class ArchivedTrades:
    """`TradeReader` of a store and of the archive behind it. `retention` is that of the store, in seconds.

    A read of the store may take `store_seconds`; then StoreUnavailable is raised.
    """

    def __init__(
        self,
        store: TradeReader,
        reads: ArchiveReads,
        retention: float,
        now: Callable[[], float],
        store_seconds: float,
    ) -> None:
        self._store = store
        self._reads = reads
        self._seam = Seam(retention, now)
        self._store_seconds = store_seconds

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`. Raises RangeTooLong, too."""
        try:
            async with asyncio.timeout(self._store_seconds):
                stored = await self._store.trades(asset, start, end, limit, newest_first=newest_first, after=after)
        except TimeoutError as error:
            raise StoreUnavailable(f"a read of trades took more than {self._store_seconds:g} s") from error
        page = Page(asset, self._seam.behind(start, end), limit, newest_first, after)
        oldest = stored[-1].timestamp if newest_first and len(stored) == limit else None
        if not self._seam.is_asked(start, end, oldest) or page.rest.start > page.rest.end:
            return stored
        archived = await self._reads.page(TRADE_ROWS, page)
        both = {trade_key(one): one for one in [*archived, *stored]}
        return [both[key] for key in sorted(both, reverse=newest_first)[:limit]]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`; of the store only."""
        return await self._store.latest(assets)
