"""`memory://`: trades wait in the memory of the process, at most as many as the backlog may hold.

A trade is acknowledged only once the processor has stored it, so that nothing acknowledged is lost with the process.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from aggregator.models import Trade
from aggregator.trades.ports import Appended, Backlog, BacklogFull, PartitionLag, Receipt

BATCH = 6000  # trades of a micro-batch, while so many wait; with several trades of an asset in it, each costs less
_SMALL_BATCH = 2000  # trades of a micro-batch, at most, at other times: it holds the event loop for a third of the time
_LEAST_RATE = 1000.0  # trades a second, to estimate when a full backlog has room
_LONGEST_RETRY = 30  # seconds


class AppendedHere(Appended, gc=False):
    """The trades of one `append`, and the future of its caller."""

    done: "asyncio.Future[Receipt]"


class MemoryLog:
    """`aggregator.trades.ports.TradeLog` in memory. `most` bounds the trades that wait or are being stored."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._waiting: deque[AppendedHere] = deque()
        self._in_work: deque[AppendedHere] = deque()
        self._size = 0
        self._waiting_size = 0
        self._arrived, self._freed = asyncio.Event(), asyncio.Event()
        self._rate = _LEAST_RATE
        self._committed_at = clock()
        self.lags: Sequence[PartitionLag] = ()
        self.trouble = ""

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:
        """As `EventLog.append`. A log with room takes one append, whatever its size."""
        if self._size >= self._most:
            raise BacklogFull(min(_LONGEST_RETRY, math.ceil(self._size / 2 / self._rate)))
        done = asyncio.get_running_loop().create_future()
        if not trades:
            done.set_result(Receipt(0, 0))
            return done
        self._waiting.append(AppendedHere(trades, source, self._clock(), done))
        self._size += len(trades)
        self._waiting_size += len(trades)
        self._arrived.set()
        return done

    async def room(self) -> None:
        """As `EventLog.room`."""
        while self._size >= self._most:
            self._freed.clear()
            await self._freed.wait()

    async def committed(self) -> None:
        """Wait for the next commit."""
        self._freed.clear()
        await self._freed.wait()

    async def drained(self) -> None:
        """As `TradeLog.drained`."""
        while self._size:
            await self.committed()

    async def next_batch(self) -> list[AppendedHere]:
        """Wait for trades; return the oldest appends.

        They have at most 2,000 trades together, or 6,000 where so many wait; a larger append comes alone.
        """
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self.waiting_batch()

    def waiting_batch(self) -> list[AppendedHere]:
        """As `next_batch`, but return nothing if no trades wait."""
        if not self._waiting:
            return []
        most = _SMALL_BATCH if self._waiting_size < BATCH else BATCH
        batch = [self._waiting.popleft()]
        size = len(batch[0].trades)
        while self._waiting and size + len(self._waiting[0].trades) <= most:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].trades)
        self._waiting_size -= size
        self._in_work.extend(batch)
        return batch

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """As `TradeLog.owned`: all of it."""
        return batch

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  # the oldest in work
        """Acknowledge a batch of `next_batch`, in the same order, and free its room."""
        now, size = self._clock(), 0
        for receipt in receipts:
            one = self._in_work.popleft()
            size += len(one.trades)
            if not one.done.done():  # the caller may have gone
                one.done.set_result(receipt)
        self._size -= size
        self._rate = max(_LEAST_RATE, 0.9 * self._rate + 0.1 * size / max(1e-3, now - self._committed_at))
        self._committed_at = now
        self._freed.set()

    @property
    def backlog(self) -> Backlog:
        """The trades that are not committed yet."""
        oldest = self._in_work[0] if self._in_work else self._waiting[0] if self._waiting else None
        return Backlog(self._size, 0.0 if oldest is None else self._clock() - oldest.arrived)
