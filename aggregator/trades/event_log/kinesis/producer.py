"""The producer of a Kinesis stream: trades as JSON, keyed by asset, durable once PutRecords has accepted them.

One call is in flight at a time, and what it did not accept goes before what came later.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from aggregator.errors import StoreError
from aggregator.models import Trade, encode
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.trades.event_log.kinesis.client import THROTTLED, KinesisClients, Throttled
from aggregator.trades.ports import BacklogFull, NotAppended, Receipt

MOST_RECORDS, MOST_BYTES = 500, 5_000_000  # of one PutRecords, keys included; it takes 5 MiB
_DELIVERY_SECONDS = 30.0
_FLUSH_SECONDS = 5.0
_LONGEST_PAUSE = 1.0
_RETRY_AFTER = 1  # seconds


class _Appending(msgspec.Struct):
    """One append: the trades without an outcome yet, and why one of them failed."""

    trades: int
    left: int
    done: asyncio.Future[Receipt]
    deadline: float
    error: str = ""


class _Waiting(msgspec.Struct, gc=False):
    asset: str
    data: bytes
    appending: _Appending

    @property
    def size(self) -> int:
        return len(self.data) + len(self.asset)


class KinesisProducer:
    """Appends trades to the stream. `most` bounds the trades that are not accepted, `clock` is monotonic seconds."""

    def __init__(
        self, clients: KinesisClients, most: int, metrics: TradeMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clients = clients
        self._most = most
        self._clock = clock
        self._throttled = metrics.log_throttled.labels("PutRecords").inc
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._arrived, self._freed = asyncio.Event(), asyncio.Event()
        self._trouble = TroubleLog("trades_not_delivered", "trades_delivered_again", stream=clients.address.stream)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send, unless that is done."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what was appended, for a few seconds; the rest fails."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                while self._size and self._task is not None:
                    self._freed.clear()
                    await self._freed.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting:
            self._report(self._waiting.popleft().appending, "the process has stopped")

    def append(self, trades: Sequence[Trade]) -> asyncio.Future[Receipt]:
        """As `EventLog.append`. The future raises NotAppended for trades that the stream did not accept."""
        if self._size >= self._most:
            raise BacklogFull(_RETRY_AFTER)
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if not trades:
            done.set_result(Receipt(0, 0))
            return done
        appending = _Appending(len(trades), len(trades), done, self._clock() + _DELIVERY_SECONDS)
        self._waiting.extend(_Waiting(trade.asset, encode(trade), appending) for trade in trades)
        self._size += len(trades)
        self._arrived.set()
        return done

    async def room(self) -> None:
        """As `EventLog.room`."""
        while self._size >= self._most:
            self._freed.clear()
            await self._freed.wait()

    async def _run(self) -> None:
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._batch()
            left = await self._send(batch)
            if left < len(batch):
                backoff = Backoff(_LONGEST_PAUSE)
            if left:
                await backoff.pause()

    def _batch(self) -> list[_Waiting]:
        """Take the oldest records that fit into one call."""
        batch, size = [self._waiting.popleft()], 0
        size = batch[0].size
        while self._waiting and len(batch) < MOST_RECORDS and size + self._waiting[0].size <= MOST_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch

    async def _send(self, batch: Sequence[_Waiting]) -> int:
        """Send a batch; return how many of it wait again. At their deadline they fail."""
        try:
            outcomes = await self._put(batch)
        except StoreError as error:
            if isinstance(error, Throttled):
                self._throttled()
            outcomes = [str(error)] * len(batch)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        now, failed = self._clock(), []
        for one, error_text in zip(batch, outcomes, strict=True):
            if error_text and now < one.appending.deadline:
                failed.append(one)
            else:
                self._report(one.appending, error_text)
        self._waiting.extendleft(reversed(failed))
        self._trouble.report(next((text for text in outcomes if text), ""))
        return len(failed)

    async def _put(self, batch: Sequence[_Waiting]) -> list[str]:
        """Return for each record why it was not accepted, or nothing. Raises StoreError."""
        codes = await self._clients.put([{"Data": one.data, "PartitionKey": one.asset} for one in batch])
        if any(code in THROTTLED for code in codes):
            self._throttled()
        return codes

    def _report(self, one: _Appending, error: str) -> None:
        """Take the outcome of one trade; the last one of an append resolves its future."""
        one.left -= 1
        one.error = one.error or error
        if one.left:
            return
        self._size -= one.trades
        self._freed.set()
        if one.done.done():  # the caller may have gone
            return
        if one.error:
            one.done.set_exception(NotAppended(one.error))
            one.done.exception()  # the caller may go now: no warning then
        else:
            one.done.set_result(Receipt(one.trades, 0))
