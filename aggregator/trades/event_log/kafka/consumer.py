"""The consumer of a Kafka topic: a thread that reads records, follows rebalances and commits.

    thread: consume -> hand-over (bounded) -> event loop: parse, process -> Assignment.processed -> thread: commit

The thread calls the library, which blocks; the event loop never does.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from aggregator.errors import StoreError
from aggregator.trades.event_log.kafka.client import KafkaClients, position, reason_of
from aggregator.trades.event_log.kafka.commits import OffsetCommits
from aggregator.trades.event_log.kafka.hand_over import HandedOver, HandOver
from aggregator.trades.event_log.partition import NOTHING, Assignment
from aggregator.trades.event_log.window_start import parse_metadata

T = TypeVar("T")

MOST_CONSUMED = 2000  # records of a call
_CONSUME_SECONDS = 0.005
_COMMIT_SECONDS = 0.1
_CALL_SECONDS = 10.0
_RELEASE_SECONDS = 5.0  # for records in work, before a partition goes to another process
_RELEASE_LOOK_SECONDS = 0.005
_LOOK_SECONDS = 1.0
_AWAY_SECONDS = 60.0  # that a broker may be away during a rebalance
_RETRY_SECONDS = 0.2
_PAUSED_SECONDS = 0.02
_PAUSE_SECONDS = 1.0  # without room, after which partitions are paused so that rebalances go on


class KafkaConsumer:
    """Reads the topic into `handed_over`. `notify` is called from the thread when there is something new.

    `span` is the event time, in seconds, that windows reach back.
    """

    def __init__(self, clients: KafkaClients, span: float, notify: Callable[[], None]) -> None:
        self._clients = clients
        self._topic = clients.address.topic
        self._span = span
        self._notify = notify
        self.handed_over = HandOver(notify)
        self._commits = OffsetCommits(self._topic)
        self._consumer: Consumer = clients.consumer(on_commit=self._commits.sent, error_cb=self._failed)
        self._thread = threading.Thread(target=self._run, name="kafka-consumer", daemon=True)
        self._is_draining = self._is_stopping = self._is_paused = False
        self._commit_at = self._confirm_at = self._look_at = 0.0
        self.is_asked = False
        """Set by the event loop to have the membership confirmed by a commit."""

        self.trouble = ""
        """The reason why nothing can be read at present; empty while it can."""

        self.error: BaseException | None = None
        """The error that ended the thread."""

    @property
    def assignments(self) -> Mapping[int, Assignment]:
        """By partition; replaced as a whole when they change."""
        return self._commits.assignments

    @property
    def confirmed_at(self) -> float:
        """As `OffsetCommits.confirmed_at`."""
        return self._commits.confirmed_at

    def check(self) -> int:
        """Return the number of partitions. Blocks. Raises StoreUnavailable and StoreRefused."""
        return self._clients.partitions(self._consumer, _CALL_SECONDS)

    def start(self) -> None:
        """Join the group, unless that is done."""
        if self._thread.ident is None:
            self._thread.start()

    def drain(self) -> None:
        """Read no more records."""
        self._is_draining = True

    def stop(self) -> None:
        """Commit what is processed and leave the group. Blocks."""
        self._is_stopping = True
        self.handed_over.end_wait()
        if self._thread.is_alive():
            self._thread.join(_CALL_SECONDS)

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not self._is_stopping:
                self._step()
            self._commits.wait(self._consumer)
            self._consumer.close()
        except Exception as error:  # noqa: BLE001  # the event loop raises it: it ends the process
            self.error = error
            self._notify()

    def _step(self) -> None:
        now = time.monotonic()
        self._confirm()
        if now >= self._commit_at:
            self._commit_at = now + _COMMIT_SECONDS
            self._commits.send(self._consumer)
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look()
        if not self._is_full:
            self._hand_over(self._consumed())
        elif self._is_paused or not self.handed_over.wait_for_room(_PAUSE_SECONDS):
            self._pause()
            self._hand_over(self._consumer.consume(1, _PAUSED_SECONDS))

    def _consumed(self) -> Sequence[Message]:
        """Return records as soon as there are some; while the event loop is busy, those of 5 ms.

        A thread that wakes up more often then would take the interpreter's lock from the event loop. `consume` waits
        for as many records as it may return, or for all of its time. So an event loop without work gets the first
        record that comes, and the others that are there with it.
        """
        if not self.handed_over.wait_until_wanted(_CONSUME_SECONDS):
            return [*self._consumer.consume(MOST_CONSUMED, 0)]
        first = self._consumer.poll(_CONSUME_SECONDS)
        if first is None:
            return ()
        before = self.assignments
        rest = self._consumer.consume(MOST_CONSUMED - 1, 0)  # may rebalance
        is_kept = first.error() is not None or not self._is_changed(before, first.partition())
        return [first, *rest] if is_kept else [*rest]

    def _is_changed(self, before: Mapping[int, Assignment], partition: int | None) -> bool:
        """Whether a partition was taken away since; if it was assigned again, it is read again from its start."""
        return partition is None or self.assignments.get(partition) is not before.get(partition)

    @property
    def _is_full(self) -> bool:
        """Whether no more records may be handed over. If there is room again, paused partitions go on."""
        if self._is_draining or self.handed_over.is_full:
            return True
        self._resume()
        return False

    def _pause(self) -> None:
        """Pause all partitions, so that the library can be called, which rebalances need, without a record."""
        if not self._is_paused:
            self._is_paused = True
            self._consumer.pause(self._positions())

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._consumer.resume(self._positions())

    def _positions(self) -> list[TopicPartition]:
        return [position(self._topic, number, NOTHING) for number in self.assignments]

    def _hand_over(self, messages: Sequence[Message]) -> None:
        good = [message for message in messages if message.error() is None]
        if len(good) < len(messages):
            for error in filter(None, map(Message.error, messages)):
                self._failed(error)
        if good and not self._is_draining:
            self.trouble = ""
            self.handed_over.put(HandedOver(good, self.assignments, time.monotonic()))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin to read each partition where its open windows begin, or at its committed offset."""
        committed = self._retried(lambda: consumer.committed(partitions, timeout=_CALL_SECONDS)) if partitions else []
        new = [self._assignment(consumer, one) for one in committed]
        starts = [position(self._topic, one.partition, one.starts.current.offset) for one in new]
        self._commits.assignments = {**self.assignments, **{one.partition: one for one in new}}
        (consumer.incremental_assign if self._clients.is_cooperative else consumer.assign)(starts)
        self._commits.confirmed_at = time.monotonic()
        self._resume()  # those that it keeps; the next step pauses all if it must
        structlog.get_logger().info("partitions_assigned", topic=self._topic, partitions=sorted(self.assignments))

    def _assignment(self, consumer: Consumer, committed: TopicPartition) -> Assignment:
        low, high = self._retried(lambda: consumer.get_watermark_offsets(committed, timeout=_CALL_SECONDS))
        if committed.offset > high:
            structlog.get_logger().warning(
                "offset_beyond_the_end", topic=self._topic, partition=committed.partition, committed=committed.offset
            )
        # A partition is read from its first record in three cases: 1. Nothing is committed. 2. The topic was created
        # anew. 3. The brokers have lost records; it is not known which of the later ones were processed.
        if not 0 <= committed.offset <= high:
            return Assignment(committed.partition, low, "", high, None, self._span)
        start = parse_metadata(committed.metadata)
        if start is not None and not low <= start.offset <= committed.offset:
            start = None
        offset = max(low, committed.offset)
        return Assignment(committed.partition, offset, committed.metadata or "", high, start, self._span)

    def _retried(self, call: Callable[[], T]) -> T:
        """Return the result of a call to a broker, which may be away for a while. Raises KafkaException."""
        deadline = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                return call()
            except KafkaException as error:
                self._failed(error.args[0])
                if self._is_stopping or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Have the records in work finished and committed, then give the partitions up."""
        ending = self._end(partitions)
        deadline = time.monotonic() + _RELEASE_SECONDS
        while not (self._is_stopping or all(one.released.is_set() for one in ending) or time.monotonic() > deadline):
            self._confirm()
            time.sleep(_RELEASE_LOOK_SECONDS)
        for one in ending:
            one.is_lost = not (self._is_stopping or one.released.is_set())
        self._commits.wait(self._consumer)
        self._remove(consumer, partitions)

    def _confirm(self) -> None:
        """Have the membership confirmed by a commit if the event loop has asked for it."""
        if self.is_asked and time.monotonic() >= self._confirm_at:
            self.is_asked = not self._commits.wait(self._consumer, unchanged=True)
            self._confirm_at = time.monotonic() + _COMMIT_SECONDS * self.is_asked

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget partitions that others own already; nothing of them may be published or committed."""
        self._lose([one.partition for one in partitions])
        self._end(partitions)
        self._remove(consumer, partitions)

    def _lose(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            if partition in self.assignments:
                self.assignments[partition].is_lost = True

    def _end(self, partitions: Sequence[TopicPartition]) -> list[Assignment]:
        """Hand over the ends of assignments, and return these.

        Their records that wait are left to the next owner. To process them would take seconds in which no process reads
        the partitions, where most wait, as after another takeover.
        """
        ending = [self.assignments[one.partition] for one in partitions if one.partition in self.assignments]
        for one in ending:
            one.is_ending = True
            self.handed_over.put(HandedOver((), self.assignments, time.monotonic(), one))
        return ending

    def _remove(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {one.partition for one in partitions}
        self._commits.assignments = {number: one for number, one in self.assignments.items() if number not in gone}
        if self._clients.is_cooperative:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()
        structlog.get_logger().info("partitions_revoked", topic=self._topic, partitions=sorted(gone))

    def _failed(self, error: KafkaError) -> None:
        """Note an error of a broker or of the library. Raises KafkaException for one that ends the consumer."""
        if error.fatal():
            raise KafkaException(error)
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION) or error.code() > 0:  # noqa: SLF001  # librdkafka's own codes have this form
            if not self.trouble:
                structlog.get_logger().warning("kafka_failing", topic=self._topic, error=reason_of(error))
            self.trouble = reason_of(error)

    def _look(self) -> None:
        """Update the ends of the partitions, and see whether a trouble has passed."""
        for one in self.assignments.values():
            _, end = self._consumer.get_watermark_offsets(position(self._topic, one.partition, NOTHING), cached=True)
            one.end = max(one.end, end)
        if self.trouble:
            try:
                self._clients.partitions(self._consumer, _LOOK_SECONDS)
            except StoreError as error:
                self.trouble = str(error)
            else:
                structlog.get_logger().info("kafka_recovered", topic=self._topic)
                self.trouble = ""
