"""Marks ranges while their events are being stored, so that none of them is missing in the archive.

    mark (durable) -> the store's write -> the archiver reads the store -> file, checked -> the mark is removed

The archiver removes a mark only if no write has begun since it read the store: it waits for the writes under way, and
a write that begins later marks the range again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from math import inf

from aggregator.archive.datasets import Dataset
from aggregator.archive.writes.marks import Marks, Range

_LOOK_SECONDS = 0.02
_SETTLE_SECONDS = 30.0
_DOUBTFUL_SECONDS = 60.0  # a write that has failed may still be carried out


class Marker:
    """The marks of one dataset, in ranges of `seconds`."""

    def __init__(
        self, marks: Marks, dataset: Dataset, seconds: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.dataset = dataset
        self.seconds = seconds
        self._marks = marks
        self._clock = clock
        self._marked: set[int] = set()  # starts of ranges that need no further mark
        self._epoch = 0  # changes whenever one leaves `_marked`
        self._writes: dict[object, Collection[int]] = {}  # the starts of each write under way
        self._doubtful: dict[int, float] = {}  # when a write to a range failed last

    @property
    def pending(self) -> Mapping[Range, int]:
        """The marked ranges, each with the version of its mark."""
        return self._marks.ranges(self.dataset.name)

    @property
    def oldest(self) -> float:
        """The start of the oldest marked range in unix seconds; infinity without one."""
        return self._marks.oldest(self.dataset.name)

    @property
    def assets(self) -> Collection[str]:
        """Every asset that a marked range may have."""
        return self._marks.assets(self.dataset.name)

    def start_of(self, at: float) -> int:
        """Return the start of the range of a time in unix seconds."""
        return int(at) // self.seconds * self.seconds

    @property
    def is_backfilled(self) -> bool:
        """Whether what was stored before the first start has been marked."""
        return self._marks.is_backfilled(self.dataset.name)

    def has(self, start: int) -> bool:
        """Whether a range is marked."""
        return (start, start + self.seconds) in self.pending

    async def mark(self, starts: Collection[int], assets: Collection[str]) -> None:
        """Mark ranges, and assets that they have. Raises StoreError."""
        if starts:
            await self._marks.mark(self.dataset.name, [(start, start + self.seconds) for start in starts], assets)

    async def set_backfilled(self) -> None:
        """Note that everything stored is marked. Raises StoreError."""
        await self._marks.set_backfilled(self.dataset.name)

    @asynccontextmanager
    async def storing(self, starts: set[int], assets: Collection[str]) -> AsyncIterator[None]:
        """Mark the ranges that begin at `starts` while events of them are stored. Raises StoreError."""
        write = object()
        self._writes[write] = starts
        try:
            await self._mark(starts, assets)
            yield
        except BaseException:
            self._forget(starts)
            self._doubtful.update(dict.fromkeys(starts, self._clock()))
            raise
        finally:
            del self._writes[write]

    async def settle(self, one: Range) -> int | None:
        """Wait for the writes of a range that are under way; return the version of its mark from before.

        Return None if they do not end in half a minute.
        """
        self._forget({one[0]})
        version = self.pending.get(one)
        waited = [write for write, starts in self._writes.items() if any(one[0] <= at < one[1] for at in starts)]
        deadline = self._clock() + _SETTLE_SECONDS
        while any(write in self._writes for write in waited):
            if self._clock() > deadline:
                return None
            await asyncio.sleep(_LOOK_SECONDS)
        return version

    async def clear(self, one: Range, version: int) -> None:
        """Remove the mark of a range, unless it was marked since, or may get events of a write that failed."""
        failed = max((at for start, at in self._doubtful.items() if one[0] <= start < one[1]), default=-inf)
        if self._clock() - failed < _DOUBTFUL_SECONDS:
            return
        self._doubtful = {start: at for start, at in self._doubtful.items() if not one[0] <= start < one[1]}
        await self._marks.clear(self.dataset.name, one, version)

    async def _mark(self, starts: set[int], assets: Collection[str]) -> None:
        new = starts - self._marked
        known = self.assets
        if not new and all(asset in known for asset in assets):
            return
        epoch = self._epoch
        await self._marks.mark(self.dataset.name, [(start, start + self.seconds) for start in starts], assets)
        if epoch == self._epoch:
            self._marked |= starts

    def _forget(self, starts: Collection[int]) -> None:
        self._epoch += 1
        self._marked.difference_update(starts)
