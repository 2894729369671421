"""Reads the stored prices of a day, in pages with rests between them, so that reads for clients come first."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aggregator.errors import StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.ports import History, SummarizingHistory
from aggregator.prices.day_figures import BUCKET, PriceDay, window_start

T = TypeVar("T")

_PAGE = 250  # prices in one read: adding them takes the event loop half a millisecond
_SUMMARIZED = 20_000  # prices in one read of a history that summarises them
_SECONDS = 5.0  # the timeout of one read
_REST = 4.0  # the pause after a read, in durations of the read: reading takes a fifth of one core at most


class DayReader:
    """Reads `history` into days with buckets of `bucket` seconds. `now` is unix seconds, `clock` monotonic time."""

    def __init__(
        self,
        history: History,
        bucket: float = BUCKET,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history = history
        self._bucket = bucket
        self._now = now
        self._clock = clock

    async def read(self, symbol: str, start: float, day: PriceDay) -> None:
        """Add the stored prices from `start` on, at most those of a day and the last one before. Raises StoreError."""
        since = window_start(self._now(), self._bucket)
        if start < since:
            start = since
            _add(day, await self._patiently(self._history.between(symbol, 0.0, since, 1, newest_first=True)))
        if isinstance(self._history, SummarizingHistory):
            await self._read_summaries(self._history, symbol, start, day)
        else:
            await self._read_prices(symbol, start, day)

    async def _read_prices(self, symbol: str, start: float, day: PriceDay) -> None:
        while True:
            latest = self._now() + FUTURE_TOLERANCE
            prices = await self._patiently(self._history.between(symbol, start, latest, _PAGE, newest_first=False))
            _add(day, prices)
            if len(prices) < _PAGE:
                return
            start = math.nextafter(prices[-1].timestamp, math.inf)

    async def _read_summaries(self, history: SummarizingHistory, symbol: str, start: float, day: PriceDay) -> None:
        while True:
            latest = self._now() + FUTURE_TOLERANCE
            found = await self._patiently(history.summaries(symbol, start, latest, _SUMMARIZED, self._bucket))
            for one in found:
                day.merge(one.timestamp, one.high, one.low, one.last)
            if sum(one.count for one in found) < _SUMMARIZED:
                return
            start = math.nextafter(found[-1].timestamp, math.inf)

    async def _patiently(self, read: Awaitable[T]) -> T:
        """Return the result of a read, and rest after it. Raises StoreError, also after `_SECONDS`."""
        began = self._clock()
        try:
            async with asyncio.timeout(_SECONDS):
                found = await read
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {_SECONDS:g} s") from error
        await asyncio.sleep(_REST * (self._clock() - began))
        return found


def _add(day: PriceDay, prices: Sequence[Price]) -> None:
    for price in prices:
        day.add(price.timestamp, price.price)
