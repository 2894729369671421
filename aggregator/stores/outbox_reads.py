"""Reads of the outbox: each has the prices that wait in the file and those that the table has taken."""

import math
from collections.abc import Callable, Sequence

from aggregator.errors import StoreError
from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.ports import Table
from aggregator.prices.bars import Bars, MinuteSource, PointSource, bars_of, joined
from aggregator.stores.outbox_file import OutboxFile

_MOST_POINTS = 100_000  # prices of one read of bars; a day of a price a second has 86,400


class OutboxReads:
    """The reads of an outbox. `now` is unix seconds."""

    def __init__(self, file: OutboxFile, table: Table, now: Callable[[], float]) -> None:
        self._file = file
        self._table = table
        self._now = now

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`, from file and table; while the table is away, from the file if it has any price."""
        waiting = await self._file.latest(symbols, self._now() + FUTURE_TOLERANCE)
        try:
            sent = await self._table.latest(symbols)
        except StoreError:
            if not waiting:
                raise
            return waiting
        newer = {asset: price for asset, price in waiting.items() if not _is_older(price, sent.get(asset))}
        return sent | newer

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        # The file first: a price that moves to the table between the two reads is then read twice, not missed.
        waiting = await self._file.between(symbol, start, end, limit, newest_first=newest_first)
        sent = await self._table.between(symbol, start, end, limit, newest_first=newest_first)
        both = {price.timestamp: price for price in [*sent, *waiting]}
        return [both[timestamp] for timestamp in sorted(both, reverse=newest_first)[:limit]]

    async def points(self, symbol: str, start: float, end: float, limit: int) -> Sequence[tuple[float, float]]:
        """As `PointSource.points`; the table must be one."""
        assert isinstance(self._table, PointSource)  # noqa: S101  # Outbox has no `points` otherwise
        waiting = await self._file.between(symbol, start, end, limit, newest_first=False)
        sent = await self._table.points(symbol, start, end, limit)
        if not waiting:
            return sent
        both = dict(sent) | {price.timestamp: float(price.price) for price in waiting}
        return sorted(both.items())[:limit]

    async def minutes(self, symbol: str, start: int, end: int) -> Bars:
        """As `MinuteSource.minutes`; the table must be one, and a PointSource."""
        assert isinstance(self._table, MinuteSource)  # noqa: S101  # Outbox has no `minutes` otherwise
        last = math.nextafter(end, -math.inf)
        waiting = await self._file.between(symbol, start, last, _MOST_POINTS, newest_first=False)
        bars = await self._table.minutes(symbol, start, end)
        if not waiting:
            return bars
        # A waiting price may be in the table, too: the minutes from the first to the last of them are read one by one.
        low = int(waiting[0].timestamp // 60 * 60)
        high = int(waiting[-1].timestamp // 60 * 60 + 60)
        points = await self.points(symbol, low, math.nextafter(high, -math.inf), _MOST_POINTS)
        return joined([bars.between(start, low), bars_of(points, 60), bars.between(high, end)])


def _is_older(price: Price, other: Price | None) -> bool:
    return other is not None and price.timestamp < other.timestamp
