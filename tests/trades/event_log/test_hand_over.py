"""The hand-over from the consumer's thread: at once while the event loop waits, and nothing across a rebalance."""

import time
from collections.abc import Callable
from threading import Thread
from typing import cast

import pytest
from confluent_kafka import Consumer, Message
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients, position
from aggregator.trades.event_log.kafka.consumer import KafkaConsumer
from aggregator.trades.event_log.kafka.hand_over import MOST_WAITING, HandedOver, HandOver
from aggregator.trades.event_log.kafka.log import KafkaLog
from aggregator.trades.event_log.partition import NOTHING, Assignment
from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.ingest import Parser
from tests.parts.processing import CATALOG, LATENESS, Buried

SPAN = 300.0


def message(partition: int, offset: int) -> Message:
    """Return a record."""
    return Message(topic="trades", partition=partition, offset=offset, value=b"{}")


def assignment(partition: int) -> Assignment:
    """Return an assignment of a partition from its beginning."""
    return Assignment(partition, 0, "", 0, None, SPAN)


class Library:
    """A stand-in for the library's consumer: one record to wait for, others beside it, and a rebalance between them."""

    def __init__(self, first: Message | None, *others: Message) -> None:
        self.first = first
        self.others = others
        self.rebalance: Callable[[], None] = lambda: None
        self.calls: list[tuple[str, bool]] = []
        """The calls, and whether they may wait."""

    def poll(self, seconds: float) -> Message | None:
        """As `Consumer.poll`."""
        self.calls.append(("poll", seconds > 0))
        return self.first

    def consume(self, number: int, seconds: float) -> list[Message]:
        """As `Consumer.consume`."""
        assert number > 0
        self.calls.append(("consume", seconds > 0))
        self.rebalance()
        return [*self.others]


class _Clients(KafkaClients):
    def __init__(self, library: Library) -> None:
        super().__init__(parse_kafka_url("kafka://127.0.0.1:9/trades"), KafkaSecurity())
        self._library = library

    def consumer(self, **_: object) -> Consumer:
        return cast("Consumer", self._library)


def consumer_of(library: Library) -> KafkaConsumer:
    """Return a consumer with two partitions, which is not started."""
    consumer = KafkaConsumer(_Clients(library), SPAN, lambda: None)
    consumer._commits.assignments = {number: assignment(number) for number in range(2)}
    return consumer


def read(consumer: KafkaConsumer) -> list[tuple[int | None, int | None]]:
    """Have the thread's next records returned, by partition and offset."""
    return [(one.partition(), one.offset()) for one in consumer._consumed()]


def test_records_are_not_collected_while_the_event_loop_waits() -> None:
    """One record is waited for; those that are there come with it, and none is waited for."""
    library = Library(message(0, 5), message(1, 7))
    assert read(consumer_of(library)) == [(0, 5), (1, 7)]
    assert library.calls == [("poll", True), ("consume", False)]


def test_without_records() -> None:
    """The wait ends, so that commits and rebalances go on."""
    library = Library(None)
    assert read(consumer_of(library)) == []
    assert library.calls == [("poll", True)]


def test_records_are_collected_while_the_event_loop_is_busy() -> None:
    """It has not found the queue empty since the last records: a later call has more of them."""
    library = Library(message(0, 6), message(0, 5))
    consumer = consumer_of(library)
    consumer.handed_over.put(HandedOver([message(0, 4)], consumer.assignments, 0.0))
    assert read(consumer) == [(0, 5)]
    assert library.calls == [("consume", False)]
    assert len(consumer.handed_over.take(10)) == 1
    assert read(consumer) == [(0, 5)]
    assert consumer.handed_over.take(10) == []
    assert read(consumer) == [(0, 6), (0, 5)]


@pytest.mark.parametrize(("partition", "kept"), [(0, False), (1, True)])
def test_a_record_whose_partition_a_rebalance_takes_away(partition: int, *, kept: bool) -> None:
    """A new assignment of partition 0 reads the record again; that of partition 1, which stays, comes once."""
    library = Library(message(partition, 5))
    consumer = consumer_of(library)

    def rebalance() -> None:
        consumer._commits.assignments = {**consumer.assignments, 0: assignment(0)}

    library.rebalance = rebalance
    assert read(consumer) == ([(partition, 5)] if kept else [])


def test_a_record_whose_partition_goes_to_another_process() -> None:
    """It is not handed over."""
    library = Library(message(0, 5), message(1, 7))
    consumer = consumer_of(library)

    def rebalance() -> None:
        consumer._commits.assignments = {1: consumer.assignments[1]}

    library.rebalance = rebalance
    assert read(consumer) == [(1, 7)]


async def test_waiting_records_of_a_partition_that_is_taken_away() -> None:
    """They are left to the next owner, which does not wait until they, and those of other partitions, are processed."""
    metrics = Metrics(CollectorRegistry()).trades
    parser = RecordParser(Parser(CATALOG.find, SOURCE), "json")
    log = KafkaLog(_Clients(Library(None)), 10, parser, Buried(), metrics, LATENESS, time.time)
    consumer = log._consumer
    consumer._commits.assignments = {number: assignment(number) for number in range(2)}
    for offset in range(2):
        consumer.handed_over.put(HandedOver([message(0, offset), message(1, offset)], consumer.assignments, 0.0))
    consumer._end([position("trades", 0, NOTHING)])
    (end,) = log.waiting_batch()
    assert (end.assignment.partition, end.ends) == (0, True)
    assert [(one.assignment.partition, one.first, one.following) for one in log.waiting_batch()] == [(1, 0, 2)]
    assert log.waiting_batch() == []


def test_waits_of_the_thread() -> None:
    """It waits until the event loop has found nothing, and, where the queue is full, until some is taken."""
    notified: list[None] = []
    queue = HandOver(lambda: notified.append(None))
    assert queue.wait_until_wanted(0)
    for number in range(MOST_WAITING // 5000):
        queue.put(HandedOver([message(0, number)] * 5000, {}, 0.0))
    assert queue.is_full
    assert not queue.wait_until_wanted(0)
    assert not queue.wait_for_room(0)
    waiting = Thread(target=queue.wait_for_room, args=(60,))
    waiting.start()
    assert len(queue.take(1)) == 1
    waiting.join(30)
    assert not waiting.is_alive()
    assert not queue.is_full
    assert len(queue.take(5000)) == 1
    assert not queue.wait_until_wanted(0)
    assert queue.take(5000) == []
    assert queue.wait_until_wanted(0)
    assert len(notified) == MOST_WAITING // 5000
