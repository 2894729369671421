"""`kafka://…`: trades wait in a Kafka topic, keyed by asset, and are read by a consumer group.

    append -> producer.py -> topic -> consumer.py (a thread) -> records.py -> processor

An offset is committed once the store has the trades before it. The commit's metadata names the offset at which the
open windows begin (window_start.py); the next owner of the partition reads from there.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import msgspec
from confluent_kafka import Message

from aggregator.models import Trade
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.trades.event_log.held_commits import HeldCommits
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.consumer import MOST_CONSUMED, KafkaConsumer
from aggregator.trades.event_log.kafka.hand_over import HandedOver
from aggregator.trades.event_log.kafka.producer import KafkaProducer
from aggregator.trades.event_log.memory import BATCH
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.features import FIVE_MINUTES
from aggregator.trades.ports import Appended, Backlog, DurableDeadLetters, PartitionLag, Receipt

_CONFIRM_SECONDS = 0.02  # between two looks for the confirmation of a membership
_DRAINED_SECONDS = 0.01


class KafkaLog:
    """`aggregator.trades.ports.TradeLog` on a topic.

    `most` bounds the appended trades that are not delivered. `lateness` is in seconds, `now` unix seconds.
    """

    def __init__(
        self,
        clients: KafkaClients,
        most: int,
        parser: RecordParser,
        dead_letters: DurableDeadLetters,
        metrics: TradeMetrics,
        lateness: float,
        now: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = clients.address.topic
        self._lease = clients.address.session / 2
        self._parser = parser
        self._dead_letters = dead_letters
        self._parse_seconds = metrics.stage_seconds.labels("parse").inc
        self._empty = metrics.empty_records
        self._now = now
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._consumer = KafkaConsumer(clients, FIVE_MINUTES + 2 * lateness, self._notify)
        self._producer = KafkaProducer(clients, most)
        self._held = HeldCommits(dead_letters)
        self._in_work = 0  # batches that are not committed

    async def open(self) -> None:
        """See that the topic is there. Raises StoreUnavailable and StoreRefused."""
        await asyncio.to_thread(self._consumer.check)
        self._producer.start()

    async def close(self) -> None:
        """Deliver what was appended, commit what is processed, and leave the group."""
        await asyncio.to_thread(self._producer.stop)
        await asyncio.to_thread(self._consumer.stop)

    def append(self, trades: Sequence[Trade], source: str = SOURCE) -> asyncio.Future[Receipt]:  # noqa: ARG002  # counted as kafka when they are read
        """As `EventLog.append`. Duplicates are not known, so none are counted."""
        return self._producer.append(trades)

    async def room(self) -> None:
        """As `EventLog.room`."""
        await self._producer.room()

    async def next_batch(self) -> list[FromPartition]:
        """As `TradeLog.next_batch`. The first call joins the consumer group."""
        self._consumer.start()
        while not (batch := self.waiting_batch()):
            self._arrived.clear()
            await self._held.room()
            if not self._consumer.handed_over.has_waiting:
                await self._arrived.wait()
        return batch

    def waiting_batch(self) -> list[FromPartition]:
        """As `TradeLog.waiting_batch`."""
        if self._consumer.error is not None:
            raise self._consumer.error
        if self._held.is_full:
            return []
        batch = [part for one in _joined(self._consumer.handed_over.take(BATCH)) for part in self._parts(one)]
        self._in_work += bool(batch)
        return batch

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """As `TradeLog.owned`.

        A process that was stopped for a while (SIGSTOP) learns late that the group has gone on
        without it. So before it publishes, it has the broker confirm its membership by a commit, unless one was
        confirmed less than half a session ago.
        """
        while self._clock() - self._consumer.confirmed_at > self._lease and not _all_lost(batch):
            self._consumer.is_asked = True
            await asyncio.sleep(_CONFIRM_SECONDS)
        return [one for one in batch if not (isinstance(one, FromPartition) and one.assignment.is_lost)]

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  # no caller waits
        """As `TradeLog.commit`: the consumer commits the offsets soon, but no sooner than dead letters are kept."""
        self._in_work -= 1
        self._held.commit([one for one in batch if isinstance(one, FromPartition)])

    async def drained(self) -> None:
        """As `TradeLog.drained`."""
        self._consumer.drain()
        while self._in_work or self._held or self._consumer.handed_over.has_waiting:  # noqa: ASYNC110  # a rare look; commits need no event
            await asyncio.sleep(_DRAINED_SECONDS)

    @property
    def trouble(self) -> str:
        """The reason why the topic cannot be read at present; empty while it can."""
        return self._consumer.trouble

    @property
    def lags(self) -> list[PartitionLag]:
        """As `TradeLog.lags`."""
        now = self._now()
        return [_lag(one, now) for _, one in sorted(self._consumer.assignments.items())]

    @property
    def backlog(self) -> Backlog:
        """As `TradeLog.backlog`: the records of this process' partitions."""
        lags = self.lags
        return Backlog(sum(one.records for one in lags), max((one.seconds for one in lags), default=0.0))

    def _notify(self) -> None:
        """Wake the event loop; called by the consumer's thread."""
        self._loop.call_soon_threadsafe(self._arrived.set)

    def _parts(self, one: HandedOver) -> list[FromPartition]:
        """Return the records of each partition as trades, those read again apart."""
        if one.ended is not None:
            offset, _ = one.ended.processed
            return [FromPartition((), SOURCE, one.arrived, one.ended, offset, offset, 0.0, ends=True)]
        by_partition: dict[int, list[Message]] = {}
        for number, messages in groupby(one.messages, Message.partition):  # the library hands over runs of a partition
            by_partition.setdefault(number, []).extend(messages)
        return [
            part
            for partition, messages in by_partition.items()
            if (assignment := one.assignments.get(partition)) is not None
            if not (assignment.is_lost or assignment.is_ending)
            for first in range(0, len(messages), MOST_CONSUMED)  # window starts are kept by part
            for part in self._divided(messages[first : first + MOST_CONSUMED], assignment, one.arrived)
        ]

    def _divided(self, messages: list[Message], assignment: Assignment, arrived: float) -> list[FromPartition]:
        """Divide the records of one partition at its committed offset and at its end when it was assigned."""
        parts = []
        for border in (assignment.committed, assignment.uncertain_until):
            number = _before(messages, border)
            if number:
                parts.append(self._part(messages[:number], assignment, arrived))
                messages = messages[number:]
        if messages:
            parts.append(self._part(messages, assignment, arrived))
        return parts

    def _part(self, messages: list[Message], assignment: Assignment, arrived: float) -> FromPartition:
        now = self._now()
        started = time.perf_counter()
        records = self._parser.parse([message.value() for message in messages], now)
        self._parse_seconds(time.perf_counter() - started)
        first, following = messages[0].offset(), messages[-1].offset() + 1
        assignment.begin(first, min(now, messages[0].timestamp()[1] / 1000))
        is_replayed = following <= assignment.committed
        if is_replayed and records.trades:
            assignment.starts.add(first, max(trade.timestamp for trade in records.trades))
        if records.empty and not is_replayed:
            self._empty.inc(records.empty)
        if records.rejected and not is_replayed:
            place = f"{self._topic}/{assignment.partition}/"
            self._dead_letters.bury(
                [
                    msgspec.structs.replace(rejected, place=f"{place}{messages[rejected.index].offset()}")
                    for rejected in records.rejected
                ]
            )
        return FromPartition(
            records.trades,
            SOURCE,
            arrived,
            assignment,
            first,
            following,
            messages[-1].timestamp()[1] / 1000,
            self._dead_letters.buried,
            is_replayed,
            following == assignment.committed,
            not is_replayed and first < assignment.uncertain_until,
        )


def _joined(taken: Sequence[HandedOver]) -> list[HandedOver]:
    """Join records that were handed over one after the other and have the same assignments: fewer, longer parts."""
    joined: list[HandedOver] = []
    for one in taken:
        last = joined[-1] if joined else None
        if last and last.assignments is one.assignments and last.ended is None and one.ended is None:
            joined[-1] = HandedOver([*last.messages, *one.messages], last.assignments, last.arrived)
        else:
            joined.append(one)
    return joined


def _before(messages: Sequence[Message], border: int) -> int:
    """Return the number of messages before an offset."""
    if not messages or messages[0].offset() >= border:
        return 0
    if messages[-1].offset() < border:
        return len(messages)
    return sum(message.offset() < border for message in messages)


def _all_lost(batch: Sequence[Appended]) -> bool:
    return all(isinstance(one, FromPartition) and one.assignment.is_lost for one in batch)


def _lag(one: Assignment, now: float) -> PartitionLag:
    records = max(0, one.end - one.processed[0])
    seconds = max(0.0, now - one.processed_time) if records and one.processed_time > 0 else 0.0
    return PartitionLag(one.partition, records, round(seconds, 3))
