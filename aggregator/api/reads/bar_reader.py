"""Reading bars from the history for a response: of a range, or the newest so many before a time."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aggregator.api.reads.history_reader import CLOCK_MARGIN, STORE_SECONDS, Cursor, HistoryReader
from aggregator.api.routing.responses import NO_HISTORY, RETRY_SOON, refuse
from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import Price
from aggregator.ports import History
from aggregator.prices.bar_cache import BarCache, Points
from aggregator.prices.bars import Bars, BarSource, MinuteSource, PointSource, joined

READ_SECONDS = 10.0  # for all reads of one response; the bars computed until then are kept for the next request
_MOST_WIDER = 64  # a range is read at most so many times as wide as it were without gaps


class BarReader:
    """Reads bars from a history: those that it keeps itself, or else bars computed from its prices.

    `settle` returns the age, in seconds, that a price of an asset may have when it is written. One read may take
    `store_seconds`. Raises the response 503 if the store fails or takes too long.
    """

    def __init__(
        self,
        history: History,
        settle: Callable[[str], float],
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._reader = HistoryReader(history, store_seconds)
        self._now = now
        self._points = history.points if isinstance(history, PointSource) else self._points_of_prices
        self._store_seconds = store_seconds
        self._source: BarSource = (
            history
            if isinstance(history, BarSource)
            else BarCache(
                self._read_points, settle, now, history.minutes if isinstance(history, MinuteSource) else None
            )
        )

    async def between(self, symbol: str, seconds: int, start: float, end: float) -> Bars:
        """Return the bars of `seconds` that begin from `start`, inclusive, to `end`, exclusive."""
        async with _limited():
            return await self._read(symbol, seconds, start, end)

    async def newest(self, symbol: str, seconds: int, end: float, count: int) -> Bars:
        """Return the newest `count` bars of `seconds` that begin before `end`; fewer if there are no more."""
        async with _limited():
            return await self._newest(symbol, seconds, end, count)

    async def newest_before(self, symbol: str, end: float) -> Price | None:
        """Return the newest stored price that is older than `end`; None if there is none."""
        async with _limited():
            return await self._newest_before(symbol, end)

    async def _newest(self, symbol: str, seconds: int, end: float, count: int) -> Bars:
        """Read ranges from the newest to the oldest. A gap is skipped; after one with few bars, the range is wider."""
        parts: list[Bars] = []
        left, wider = count, 1
        end = min(end, self._now() + CLOCK_MARGIN)
        while True:
            start = end - left * wider * seconds
            found = (await self._read(symbol, seconds, start, end)).last(left)
            parts.append(found)
            wider = min(_MOST_WIDER, wider * 2) if len(found) < left // 2 else wider
            left -= len(found)
            older = await self._newest_before(symbol, ceiling(start, seconds)) if left else None
            if older is None:
                return joined(reversed(parts))
            end = older.timestamp // seconds * seconds + seconds

    async def _read(self, symbol: str, seconds: int, start: float, end: float) -> Bars:
        end = min(end, self._now() + CLOCK_MARGIN)
        first, last = ceiling(max(0.0, start), seconds), ceiling(end, seconds)
        return await self._source.bars(symbol, seconds, first, last)

    async def _newest_before(self, symbol: str, end: float) -> Price | None:
        window = Cursor(symbol, 0.0, math.nextafter(end, -math.inf), newest_first=True)
        found = await self._reader.read(window, 1)
        return found[0] if found else None

    async def _read_points(self, symbol: str, start: float, end: float, limit: int) -> Points:
        """As `PointSource.points`. Raises StoreError, also for a store that does not answer in time."""
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._points(symbol, start, end, limit)
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._store_seconds:g} s") from error

    async def _points_of_prices(self, symbol: str, start: float, end: float, limit: int) -> Points:
        prices = await self._reader.read(Cursor(symbol, start, end, newest_first=False), limit)
        return [(price.timestamp, float(price.price)) for price in prices]


def ceiling(moment: float, seconds: int) -> int:
    """Return the first multiple of `seconds` that is not before `moment`."""
    return math.ceil(moment / seconds) * seconds


@asynccontextmanager
async def _limited() -> AsyncIterator[None]:
    """Raise the response 503 if the reads fail, or take longer than READ_SECONDS."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            yield
    except (StoreError, TimeoutError) as error:
        raise refuse(503, NO_HISTORY, RETRY_SOON) from error
