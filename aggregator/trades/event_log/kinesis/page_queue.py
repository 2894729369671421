"""The records that were read from a Kinesis stream and wait for the processor. Bounded."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from aggregator.trades.event_log.kinesis.client import Record
from aggregator.trades.event_log.kinesis.shard_assignment import ShardAssignment

MOST_WAITING = 10_000  # records; each shard may add one page


class HandedOver(msgspec.Struct):
    """Records of one shard, or the end of its assignment. `arrived` is in monotonic seconds."""

    records: Sequence[Record]
    assignment: ShardAssignment
    arrived: float
    ends: bool = False


class PageQueue:
    """Pages in the order of reading. `notify` is called when there is something new."""

    def __init__(self, notify: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.wake = notify
        self._clock = clock
        self._waiting: deque[HandedOver] = deque()
        self._size = 0
        self._freed = asyncio.Event()
        self.is_closed = False
        """No more records are taken, only the ends of assignments."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def room(self) -> None:
        """Wait until more records may be read."""
        while self.is_closed or self._size >= MOST_WAITING:
            self._freed.clear()
            await self._freed.wait()

    def put(self, records: Sequence[Record], one: ShardAssignment) -> None:
        """Add a page of a shard."""
        self._put(HandedOver(records, one, self._clock()))

    def end(self, one: ShardAssignment) -> None:
        """Add the end of an assignment."""
        self._put(HandedOver((), one, self._clock(), ends=True))

    def take(self, most: int) -> list[HandedOver]:
        """Return the oldest pages: `most` records at most or one page, or the end of an assignment."""
        taken: list[HandedOver] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].records) <= most):
            if taken and (self._waiting[0].ends or taken[-1].ends):
                break
            taken.append(self._waiting.popleft())
            size += len(taken[-1].records)
        self._size -= size
        self._freed.set()
        return taken

    def _put(self, one: HandedOver) -> None:
        self._waiting.append(one)
        self._size += len(one.records)
        self.wake()
