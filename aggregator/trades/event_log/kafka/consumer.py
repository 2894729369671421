"""The consumer of a Kafka topic: a thread that reads records, follows rebalances and commits.

    thread: consume -> hand-over (bounded) -> event loop: parse, process -> Assignment.processed -> thread: commit

The thread calls the library, which blocks; the event loop never does.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from aggregator.errors import StoreError
from aggregator.trades.event_log.kafka.client import KafkaClients, position, reason_of
from aggregator.trades.event_log.kafka.commits import OffsetCommits
from aggregator.trades.event_log.partition import NOTHING, Assignment
from aggregator.trades.event_log.window_start import parse_metadata

T = TypeVar("T")

MOST_CONSUMED = 2000  # records of a call
MOST_WAITING = 10_000  # records that the event loop has not taken yet
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


class HandedOver(msgspec.Struct):
    """Records as they came (`ended` None), or the end of an assignment. `arrived` is in monotonic seconds."""

    messages: Sequence[Message]
    assignments: Mapping[int, Assignment]
    arrived: float
    ended: Assignment | None = None


class KafkaConsumer:
    """Reads the topic into `taken()`. `notify` is called from the thread when there is something new.

    `span` is the event time, in seconds, that windows reach back.
    """

    def __init__(self, clients: KafkaClients, span: float, notify: Callable[[], None]) -> None:
        self._clients = clients
        self._topic = clients.address.topic
        self._span = span
        self._notify = notify
        self._commits = OffsetCommits(self._topic)
        self._consumer: Consumer = clients.consumer(on_commit=self._commits.sent, error_cb=self._failed)
        self._thread = threading.Thread(target=self._run, name="kafka-consumer", daemon=True)
        self._lock = threading.Lock()
        self._waiting: deque[HandedOver] = deque()
        self._size = 0
        self._room = threading.Event()
        self._is_draining = self._is_stopping = self._is_paused = False
        self._commit_at = self._confirm_at = self._look_at = 0.0
        self.is_asked = False
        """Set by the event loop to have the membership confirmed by a commit."""

        self.trouble = ""
        """Why nothing can be read at present; empty while it can."""

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

    def take(self, most: int) -> list[HandedOver]:
        """Return what was handed over, the oldest first: `most` records at most, or the end of an assignment."""
        with self._lock:
            taken: list[HandedOver] = []
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0].messages) <= most):
                if taken and self._waiting[0].ended is not None:
                    break
                taken.append(self._waiting.popleft())
                size += len(taken[-1].messages)
                if taken[-1].ended is not None:
                    break
            self._size -= size
        self._room.set()
        return taken

    @property
    def has_waiting(self) -> bool:
        """Whether something was handed over and not taken."""
        return bool(self._waiting)

    def drain(self) -> None:
        """Read no more records."""
        self._is_draining = True

    def stop(self) -> None:
        """Commit what is processed and leave the group. Blocks."""
        self._is_stopping = True
        self._room.set()
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
            self._hand_over(self._consumer.consume(MOST_CONSUMED, _CONSUME_SECONDS))
        elif self._is_paused or not self._room.wait(_PAUSE_SECONDS):
            self._pause()
            self._hand_over(self._consumer.consume(1, _PAUSED_SECONDS))

    @property
    def _is_full(self) -> bool:
        """Whether no more records may be handed over. If there is room again, paused partitions go on."""
        if self._is_draining or self._size >= MOST_WAITING:
            self._room.clear()
            return self._is_draining or self._size >= MOST_WAITING  # the event loop may have made room meanwhile
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
            self._put(HandedOver(good, self.assignments, time.monotonic()))

    def _put(self, one: HandedOver) -> None:
        with self._lock:
            self._waiting.append(one)
            self._size += len(one.messages)
        self._notify()

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
        if committed.offset < 0:  # none
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
        ending = [self.assignments[one.partition] for one in partitions if one.partition in self.assignments]
        for one in ending:
            self._put(HandedOver((), self.assignments, time.monotonic(), one))
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
