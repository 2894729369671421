"""Bars of a history that keeps none: computed from its prices, and kept in memory in blocks.

A block is a fixed span of time with some ten bars. Bars of a longer interval are computed from those of the next
shorter one, so a price is read once for all intervals. There are three cases:

- The block has settled, and its bars are kept: they are served.
- The block has settled, and its bars are not kept: they are computed and kept.
- The block has not ended, or ended so short a time ago that prices may still come: its bars are computed for each read.
  Reads within a second share them.

A price can come after that: another process keeps it in its outbox while the table is away. So a block that was
computed when it was `d` seconds old is computed again when it is `2 d` seconds old.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

from msgspec import Struct

from aggregator.prices.bars import NO_BARS, Bars, bars_of, joined, merged
from aggregator.resilience.together import all_of

_PAGE = 1000  # prices in one read
_PARTS = 4  # of a range, read at once
_SHORTEST_PART = 7200  # seconds
_MOST_BLOCKS = 20_000  # 11 MB
_BLOCKS_A_STEP = 100  # blocks that are computed and kept at once: a read that is given up has not been in vain
_SHARED_SECONDS = 1.0
_OLDEST_SECONDS = 60.0
_AHEAD = 3600  # seconds past now where the newest bars end: the clock of an exchange may run ahead of ours

Points = Sequence[tuple[float, float]]
Read = Callable[[str, float, float, int], Awaitable[Points]]
"""As `PointSource.points`."""
ReadMinutes = Callable[[str, int, int], Awaitable[Bars]]
"""As `MinuteSource.minutes`."""


class _Level(Struct, frozen=True):
    """`block` seconds of bars are one block; they are computed from bars of `below` seconds, or from prices (0)."""

    block: int
    below: int


_LEVELS = {
    60: _Level(300, 0),
    300: _Level(3600, 60),
    900: _Level(14_400, 300),
    3600: _Level(86_400, 900),
    14_400: _Level(432_000, 3600),
    86_400: _Level(2_592_000, 14_400),
}


class _Kept(Struct, frozen=True):
    """The bars of a block, as they were at `computed` (unix seconds)."""

    bars: Bars
    computed: float


class _Recent(Struct, frozen=True):
    """The bars of a minute from `start` on, as they were at `computed` (unix seconds)."""

    start: int
    bars: Bars
    computed: float


class BarCache:
    """`BarSource` over a function that reads prices.

    `settle` returns how old, in seconds, a price of an asset may be when it is written. `now` is unix seconds.
    `minutes` replaces reads of prices where the history computes bars of a minute itself.
    """

    def __init__(
        self,
        read: Read,
        settle: Callable[[str], float],
        now: Callable[[], float] = time.time,
        minutes: ReadMinutes | None = None,
    ) -> None:
        self._read = read
        self._minutes_of_history = minutes
        self._settle = settle
        self._now = now
        self._blocks: dict[tuple[str, int, int], _Kept] = {}  # the least recently used first
        self._recent: dict[str, _Recent] = {}
        self._oldest: dict[str, tuple[int, float]] = {}  # the time of the oldest price of each asset, and of the look
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def bars(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """As `BarSource.bars`. Of concurrent reads of one asset, one computes what all of them need."""
        lock = self._locks.get(symbol)
        if lock is None:
            lock = self._locks[symbol] = asyncio.Lock()
        async with lock:
            if not await self._has_prices(symbol):
                return NO_BARS
            return (await self._bars(symbol, seconds, start, end)).between(start, end)

    async def _has_prices(self, symbol: str) -> bool:
        """Look for the oldest price of the asset, at most once a minute; return whether there is one."""
        now = self._now()
        if 0 <= now - self._oldest.get(symbol, (0, -math.inf))[1] < _OLDEST_SECONDS:
            return True
        found = await self._read(symbol, 0.0, now + _AHEAD, 1)
        if found:
            self._oldest[symbol] = (int(found[0][0]), now)
        return bool(found)

    async def _bars(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """Return the bars of all blocks of which a part lies between `start` and `end`."""
        now, block = self._now(), _LEVELS[seconds].block
        start = max(start, self._oldest[symbol][0])  # ranges and blocks may begin long before the first price
        begin, last = start // block * block, -(-end // block) * block
        settled = min(last, int((now - self._settle(symbol)) // block * block))
        parts: list[Bars] = []
        while begin < settled:
            kept = self._kept(symbol, seconds, begin, now)
            stop = begin + block
            if kept is None:
                most = min(settled, begin + _BLOCKS_A_STEP * block)
                while stop < most and self._kept(symbol, seconds, stop, now) is None:
                    stop += block
                kept = await self._compute(symbol, seconds, begin, stop)
            parts.append(kept)
            begin = stop
        if begin < last:
            parts.append(await self._from_below(symbol, seconds, begin, last))
        return joined(parts)

    def _kept(self, symbol: str, seconds: int, begin: int, now: float) -> Bars | None:
        """Return the bars of a block, now the most recently used one; None if they have to be computed."""
        key, end = (symbol, seconds, begin), begin + _LEVELS[seconds].block
        kept = self._blocks.pop(key, None)
        if kept is None or not kept.computed - end <= now - end < 2 * (kept.computed - end):
            return None
        self._blocks[key] = kept
        return kept.bars

    async def _compute(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """Compute the bars of the blocks from `start` to `end`, keep them, and forget those used longest ago."""
        now, block = self._now(), _LEVELS[seconds].block
        found = await self._from_below(symbol, seconds, start, end)
        for begin in range(start, end, block):
            bars = found.between(begin, begin + block)
            self._blocks[symbol, seconds, begin] = _Kept(bars if len(bars) else NO_BARS, now)
        while len(self._blocks) > _MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return found

    async def _from_below(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """Compute bars from those of the next shorter interval, or from prices."""
        below = _LEVELS[seconds].below
        if below:
            return merged((await self._bars(symbol, below, start, end)).between(start, end), seconds)
        return await self._minutes(symbol, max(start, self._oldest[symbol][0] // 60 * 60), end)

    async def _minutes(self, symbol: str, start: int, end: int) -> Bars:
        """Return the bars of a minute from prices. The newest ones may be from a read of less than a second ago."""
        now = self._now()
        if end <= now - self._settle(symbol):
            return await self._read_minutes(symbol, start, end)
        recent = self._recent.get(symbol)
        if recent is None or recent.start > start or not 0 <= now - recent.computed < _SHARED_SECONDS:
            bars = await self._read_minutes(symbol, start, int(now) + _AHEAD)
            recent = self._recent[symbol] = _Recent(start, bars, now)
        return recent.bars.between(start, end)

    async def _read_minutes(self, symbol: str, start: int, end: int) -> Bars:
        """Return the bars of a minute of the prices from `start`, inclusive, to `end`, exclusive.

        Prices are read in several parts at once.
        """
        if self._minutes_of_history is not None:
            return await self._minutes_of_history(symbol, start, end)
        part = max(_SHORTEST_PART, -(-(end - start) // _PARTS))
        reads = await all_of(
            self._read_part(symbol, begin, min(end, begin + part)) for begin in range(start, end, part)
        )
        return bars_of((point for points in reads for point in points), 60)

    async def _read_part(self, symbol: str, start: float, end: float) -> Points:
        last = math.nextafter(end, -math.inf)
        points: list[tuple[float, float]] = []
        page: Points | None = None
        while page is None or len(page) == _PAGE:
            page = await self._read(symbol, start, last, _PAGE)
            points += page
            start = math.nextafter(points[-1][0], math.inf) if points else end
        return points
