"""Stored prices, and behind them those of the archive."""

import asyncio
import math
from collections.abc import Callable

import msgspec

from aggregator.archive.reads.archive_reads import ArchiveReads
from aggregator.archive.reads.archived_rows import PRICE_ROWS
from aggregator.archive.reads.pages import Page
from aggregator.archive.reads.seam import Seam
from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.ports import PriceReader

_ROUNDED = 2  # prices of one microsecond beyond the ends of a range that are read, too


class ArchivedHistory:
    """`PriceReader` of a history and of the archive behind it. `retention` is that of the history, in seconds.

    A read of the history may take `store_seconds`; then StoreUnavailable is raised.

    The archive has times to the microsecond. So have all prices here: otherwise one that both have would be there
    twice, or come again on the next page.
    """

    def __init__(
        self,
        history: PriceReader,
        reads: ArchiveReads,
        retention: float,
        now: Callable[[], float],
        store_seconds: float,
    ) -> None:
        self._history = history
        self._reads = reads
        self._seam = Seam(retention, now)
        self._store_seconds = store_seconds

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `PriceReader.between`. Raises RangeTooLong, too."""
        stored = await self._stored(symbol, start, end, limit, newest_first=newest_first)
        oldest = min(stored) if newest_first and len(stored) >= limit else None
        span = self._seam.behind(start, end)
        if self._seam.is_asked(start, end, oldest) and span.start <= span.end:
            archived = await self._reads.page(PRICE_ROWS, Page(symbol, span, limit, newest_first))
            stored = {one.timestamp: one for one in archived} | stored
        return [stored[at] for at in sorted(stored, reverse=newest_first)[:limit]]

    async def _stored(
        self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool
    ) -> dict[float, Price]:
        """Return prices of the history by their times, rounded to the microsecond."""
        edges = max(0.0, start - 1e-6), end + 1e-6
        try:
            async with asyncio.timeout(self._store_seconds):
                found = await self._history.between(symbol, *edges, limit + _ROUNDED, newest_first=newest_first)
        except TimeoutError as error:
            raise StoreUnavailable(f"a read of prices took more than {self._store_seconds:g} s") from error
        rounded = ((_rounded(one.timestamp), one) for one in found)
        return {
            at: one if at == one.timestamp else msgspec.structs.replace(one, timestamp=at)
            for at, one in rounded
            if start <= at <= end
        }


def _rounded(seconds: float) -> float:
    """Return the microsecond of a time as the archive has it: DuckDB rounds a half up, Python to the even number."""
    return math.floor(seconds * 1e6 + 0.5) / 1e6
