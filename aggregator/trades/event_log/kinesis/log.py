"""`kinesis://…`: trades wait in a Kinesis stream, keyed by asset; processes share its shards by leases in DynamoDB.

    append -> producer.py -> stream -> reader.py -> page_queue.py -> records.py -> processor

A checkpoint is written once the store has the trades before it. Beside it the lease keeps the sequence number at which
the open windows begin (window_start.py); the process that takes the shard over reads from there.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from aggregator.models import Trade
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.trades.event_log.held_commits import HeldCommits
from aggregator.trades.event_log.kinesis.address import LATEST
from aggregator.trades.event_log.kinesis.client import KinesisClients, Record
from aggregator.trades.event_log.kinesis.consumer import KinesisConsumer
from aggregator.trades.event_log.kinesis.page_queue import HandedOver, PageQueue
from aggregator.trades.event_log.kinesis.producer import KinesisProducer
from aggregator.trades.event_log.kinesis.shard_assignment import ShardAssignment, lag_of
from aggregator.trades.event_log.memory import BATCH
from aggregator.trades.event_log.partition import FromPartition
from aggregator.trades.event_log.records import RecordParser
from aggregator.trades.features import FIVE_MINUTES
from aggregator.trades.ports import Appended, Backlog, DurableDeadLetters, PartitionLag, Receipt

SOURCE = "kinesis"
_CONFIRM_SECONDS = 0.02  # between two looks for the confirmation of a lease
_DRAINED_SECONDS = 0.01


class KinesisLog:
    """`aggregator.trades.ports.TradeLog` on a stream.

    `most` bounds the appended trades that the stream has not accepted. `lateness` is in seconds, `now` unix seconds.
    """

    def __init__(
        self,
        clients: KinesisClients,
        most: int,
        parser: RecordParser,
        dead_letters: DurableDeadLetters,
        metrics: TradeMetrics,
        lateness: float,
        now: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        address = clients.address
        self._clients = clients
        self._stream = address.stream
        self._lease = address.lease / 2
        self._parser = parser
        self._dead_letters = dead_letters
        self._parse_seconds = metrics.stage_seconds.labels("parse").inc
        self._empty = metrics.empty_records.inc
        self._now = now
        self._clock = clock
        self._arrived = asyncio.Event()
        self._pages = PageQueue(self._arrived.set, clock)
        start = f"{now():.3f}" if address.start == LATEST else str(address.start)
        self._consumer = KinesisConsumer(clients, FIVE_MINUTES + 2 * lateness, start, metrics, self._pages, clock)
        self._producer = KinesisProducer(clients, most, metrics, clock)
        self._held = HeldCommits(dead_letters)
        self._in_work = 0  # batches that are not committed

    async def open(self) -> None:
        """See that the stream is there, and create the table of leases if it is not.

        Raises StoreUnavailable and StoreRefused.
        """
        await self._clients.open()
        await self._consumer.open()
        self._producer.start()

    async def close(self) -> None:
        """Send what was appended, write the checkpoints of what is processed, and give the leases back."""
        await self._producer.stop()
        await self._consumer.stop()
        await self._clients.close()

    def append(self, trades: Sequence[Trade], source: str = SOURCE) -> asyncio.Future[Receipt]:  # noqa: ARG002  # counted as kinesis when they are read
        """As `EventLog.append`. Duplicates are not known, so none are counted."""
        return self._producer.append(trades)

    async def room(self) -> None:
        """As `EventLog.room`."""
        await self._producer.room()

    async def next_batch(self) -> list[FromPartition]:
        """As `TradeLog.next_batch`. The first call begins to take leases."""
        self._consumer.start()
        while not (batch := self.waiting_batch()):
            self._arrived.clear()
            await self._held.room()
            if not self._pages:
                await self._arrived.wait()
        return batch

    def waiting_batch(self) -> list[FromPartition]:
        """As `TradeLog.waiting_batch`."""
        if self._consumer.error is not None:
            raise self._consumer.error
        if self._held.is_full:
            return []
        batch = [part for one in self._pages.take(BATCH) for part in self._parts(one)]
        self._in_work += bool(batch)
        return batch

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """As `TradeLog.owned`.

        A process that was stopped for a while (SIGSTOP) learns late that another has its leases.
        So before it publishes, it renews those that were last confirmed half of their time ago.
        """
        shards = {id(one.assignment): one.assignment for one in batch if isinstance(one, FromPartition)}
        for one in shards.values():
            while isinstance(one, ShardAssignment) and not one.is_lost and self._is_old(one):
                one.is_asked = True
                await asyncio.sleep(_CONFIRM_SECONDS)
        return [one for one in batch if not (isinstance(one, FromPartition) and one.assignment.is_lost)]

    def _is_old(self, one: ShardAssignment) -> bool:
        return self._clock() - one.confirmed_at > self._lease

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  # no caller waits
        """As `TradeLog.commit`: the consumer writes the checkpoints soon, but no sooner than dead letters are kept."""
        self._in_work -= 1
        self._held.commit([one for one in batch if isinstance(one, FromPartition)])

    async def drained(self) -> None:
        """As `TradeLog.drained`."""
        self._pages.is_closed = True
        while self._in_work or self._held or self._pages:  # noqa: ASYNC110  # a rare look; commits need no event
            await asyncio.sleep(_DRAINED_SECONDS)

    @property
    def trouble(self) -> str:
        """The reason why the stream cannot be read at present; empty while it can."""
        return self._consumer.trouble

    @property
    def lags(self) -> list[PartitionLag]:
        """As `TradeLog.lags`. The records are those that were read; how many wait in a shard is not known."""
        now, assignments = self._now(), self._consumer.assignments.values()
        return sorted((lag_of(one, now) for one in assignments), key=lambda lag: lag.partition)

    @property
    def backlog(self) -> Backlog:
        """As `TradeLog.backlog`: the records that were read."""
        lags = self.lags
        return Backlog(sum(one.records for one in lags), max((one.seconds for one in lags), default=0.0))

    def _parts(self, one: HandedOver) -> list[FromPartition]:
        """Return the records of a page as trades, those read again apart from the rest."""
        assignment = one.assignment
        if one.ends:
            position, _ = assignment.processed
            return [FromPartition((), SOURCE, one.arrived, assignment, position, position, 0.0, ends=True)]
        if assignment.is_lost:
            return []
        parts, records = [], one.records
        for border in (assignment.committed, assignment.uncertain_until):
            number = _before(records, border)
            if number:
                parts.append(self._part(records[:number], assignment, one.arrived))
                records = records[number:]
        if records:
            parts.append(self._part(records, assignment, one.arrived))
        return parts

    def _part(self, records: Sequence[Record], assignment: ShardAssignment, arrived: float) -> FromPartition:
        now, started = self._now(), time.perf_counter()
        found = self._parser.parse([record.data for record in records], now)
        self._parse_seconds(time.perf_counter() - started)
        first, following = int(records[0].sequence_number), int(records[-1].sequence_number) + 1
        is_replayed = following <= assignment.committed
        if found.empty and not is_replayed:
            self._empty(found.empty)
        if is_replayed and found.trades:
            assignment.starts.add(first, max(trade.timestamp for trade in found.trades))
        if found.rejected and not is_replayed:
            place = f"{self._stream}/{assignment.shard}/"
            self._dead_letters.bury(
                [
                    msgspec.structs.replace(
                        rejected, source=SOURCE, place=f"{place}{records[rejected.index].sequence_number}"
                    )
                    for rejected in found.rejected
                ]
            )
        return FromPartition(
            found.trades,
            SOURCE,
            arrived,
            assignment,
            first,
            following,
            records[-1].approximate_arrival_timestamp,
            self._dead_letters.buried,
            is_replayed=is_replayed,
            ends_replay=following == assignment.committed,
            is_uncertain=not is_replayed and first < assignment.uncertain_until,
        )


def _before(records: Sequence[Record], border: int) -> int:
    """Return the number of records before a sequence number."""
    if not records or int(records[0].sequence_number) >= border:
        return 0
    if int(records[-1].sequence_number) < border:
        return len(records)
    return sum(int(record.sequence_number) < border for record in records)
