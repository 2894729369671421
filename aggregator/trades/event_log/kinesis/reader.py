"""Reads one shard of a Kinesis stream: iterators, the limits of GetRecords, throttling."""

import asyncio
import time
from collections.abc import Callable

from aggregator.errors import StoreError
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.trades.event_log.kinesis.client import (
    MOST_RECORDS,
    ExpiredIterator,
    NoSuchPosition,
    RecordsPage,
    ShardClients,
    Throttled,
)
from aggregator.trades.event_log.kinesis.page_queue import PageQueue
from aggregator.trades.event_log.kinesis.shard_assignment import ENDLESS, ShardAssignment
from aggregator.trades.event_log.kinesis.shard_plan import TRIM_HORIZON

_CALL_SECONDS = 0.22  # Kinesis takes 5 calls a second of a shard; calls may arrive up to 0.1 s late
_BYTES_PER_SECOND = 2_000_000  # that it gives of a shard
_LONGEST_PAUSE = 2.0
_CONFIRM_SECONDS = 0.02


class ShardReader:
    """Reads shards into `pages`; `failing` is told of each shard why it cannot be read, and nothing once it can.

    `clock` is monotonic seconds.
    """

    def __init__(
        self,
        clients: ShardClients,
        pages: PageQueue,
        failing: Callable[[str, str], None],
        metrics: TradeMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._pages = pages
        self._failing = failing
        self._throttled = metrics.log_throttled.labels("GetRecords").inc
        self._lease = clients.address.lease
        self._clock = clock

    async def read(self, one: ShardAssignment) -> None:
        """Read a shard until its end, or until its lease is lost or the queue is closed; errors are retried."""
        backoff, iterator, next_call = Backoff(_LONGEST_PAUSE), "", 0.0
        while not one.is_lost:
            await self._pages.room()
            await asyncio.sleep(max(0.0, next_call - self._clock()))
            called_at = self._clock()
            next_call = called_at + _CALL_SECONDS
            try:
                iterator = iterator or await self._iterator(one)
                page, size = await self._clients.records(iterator)
            except ExpiredIterator:
                iterator = ""
                continue
            except StoreError as error:
                if isinstance(error, Throttled):
                    self._throttled()
                else:
                    iterator = ""  # it may be what is wrong
                    self._failing(one.shard, str(error))
                await backoff.pause()
                continue
            backoff = Backoff(_LONGEST_PAUSE)
            self._failing(one.shard, "")
            next_call = max(next_call, called_at + size / _BYTES_PER_SECOND)
            await self._confirmed(one)
            if not self._take(page, one):
                return
            if page.next_shard_iterator is None:
                one.has_ended = True
                return
            iterator = page.next_shard_iterator

    async def _confirmed(self, one: ShardAssignment) -> None:
        """Wait until the lease is known to have been valid after the call, when no other process read the shard.

        Another process that begins later finds all records of this page in the shard; see `FromPartition.is_uncertain`.
        """
        while self._clock() - one.confirmed_at >= self._lease and not one.is_lost:
            one.is_asked = True
            await asyncio.sleep(_CONFIRM_SECONDS)

    def _take(self, page: RecordsPage, one: ShardAssignment) -> bool:
        """Take the records of a page; return False if no more records may be read."""
        if one.is_lost or self._pages.is_closed:
            return False
        one.behind = page.millis_behind_latest / 1000
        records = page.records
        if records:
            first, last = int(records[0].sequence_number), int(records[-1].sequence_number)
            one.read(first, last, len(records), records[0].approximate_arrival_timestamp)
        if one.uncertain_until == ENDLESS and not page.millis_behind_latest and len(records) < MOST_RECORDS:
            one.uncertain_until = one.read_to  # all that was there when the lease was taken has been read
        if records:
            self._pages.put(records, one)
        return True

    async def _iterator(self, one: ShardAssignment) -> str:
        """Return an iterator for the next record; for the first, where the open windows or the stream begin."""
        if one.read_to:
            return await self._at("AFTER_SEQUENCE_NUMBER", one, StartingSequenceNumber=str(one.read_to - 1))
        try:
            if one.committed and one.exact_since != float("inf"):
                return await self._at("AT_SEQUENCE_NUMBER", one, StartingSequenceNumber=str(one.starts.current.offset))
        except NoSuchPosition:
            pass  # it is older than the retention; the checkpoint may not be
        try:
            if one.committed:
                return await self._at("AFTER_SEQUENCE_NUMBER", one, StartingSequenceNumber=str(one.committed - 1))
        except NoSuchPosition:
            pass  # so is the checkpoint
        if one.start == TRIM_HORIZON or one.committed:
            return await self._at(TRIM_HORIZON, one)
        return await self._at("AT_TIMESTAMP", one, Timestamp=float(one.start))

    async def _at(self, kind: str, one: ShardAssignment, **position: object) -> str:
        return await self._clients.iterator(one.shard, kind, **position)
