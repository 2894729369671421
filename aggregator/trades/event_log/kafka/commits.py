"""Commits of a Kafka consumer group, and what they tell: whether this process is still a member. For one thread."""

import time
from collections import deque
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from aggregator.trades.event_log.kafka.client import position, reason_of
from aggregator.trades.event_log.partition import NOTHING, Assignment

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_IN_FLIGHT = 3  # a rebalance, or a broker that is away, leaves commits without an outcome for seconds


class OffsetCommits:
    """Commits what is processed of `assignments`, by partition; the owner replaces them when they change."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._in_flight: deque[float] = deque()  # when the commits that have no outcome yet were sent
        self._trouble = ""  # the last failure; empty after a success
        self.assignments: Mapping[int, Assignment] = {}
        self.confirmed_at = 0.0
        """The time at which the last successful commit was sent, in monotonic seconds. It proves membership."""

    def _due(self, *, unchanged: bool) -> list[tuple[Assignment, TopicPartition]]:
        due = []
        for one in self.assignments.values():
            offset, metadata = one.processed
            if not one.is_lost and (unchanged or offset > one.sent):
                due.append((one, position(self._topic, one.partition, offset, metadata)))
        return due

    def send(self, consumer: Consumer) -> None:
        """Send the commits that are due, unless many have no outcome yet; `sent` gets the outcome."""
        if len(self._in_flight) < _MOST_IN_FLIGHT and (due := self._due(unchanged=False)):
            self._in_flight.append(time.monotonic())
            consumer.commit(offsets=[offset for _, offset in due], asynchronous=True)
            for assignment, offset in due:
                assignment.sent = offset.offset

    def wait(self, consumer: Consumer, *, unchanged: bool = False) -> bool:
        """Commit, and wait for the outcome; return whether it succeeded. Without partitions, it does."""
        due, sent_at = self._due(unchanged=unchanged), time.monotonic()
        if not due:
            return True
        try:
            outcome = consumer.commit(offsets=[offset for _, offset in due], asynchronous=False)
        except KafkaException as error:
            return self._not_committed(error.args[0])
        if failed := [one.error for one in outcome if one.error is not None]:
            return self._not_committed(failed[0])
        for assignment, offset in due:
            assignment.sent = offset.offset
        self._committed(sent_at)
        return True

    def sent(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the outcome of `send`."""
        sent_at = self._in_flight.popleft() if self._in_flight else 0.0
        failed = error or next((one.error for one in partitions if one.error is not None), None)
        if failed is None:
            self._committed(sent_at)
            return
        self._not_committed(failed)
        for one in partitions:
            if one.partition in self.assignments:
                self.assignments[one.partition].sent = NOTHING  # to be sent again

    def _committed(self, sent_at: float) -> None:
        self.confirmed_at = max(self.confirmed_at, sent_at)
        self._trouble = ""

    def _not_committed(self, error: KafkaError) -> bool:
        """Log a failure, unless it is that of the commit before; return False.

        A commit fails, too, when the group has begun a new generation of which this process is a member: whether
        partitions are lost, the library finds out by its heartbeats.
        """
        if error.name() != self._trouble:
            structlog.get_logger().warning("offsets_not_committed", topic=self._topic, error=reason_of(error))
        self._trouble = error.name()
        return False
