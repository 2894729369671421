"""Kafka brokers for tests: that of KAFKA_BOOTSTRAP, else stand-ins.

noida-db answers as Apache Kafka does for topics, commits and idempotent producers. It does not keep everything over a
kill, does not end the session of a killed member, and a cooperative rebalance of three members does not end there. So
tests of kills and rebalances use librdkafka's mock cluster (kafka_mock.py), whose groups work.
"""

import importlib.util
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.parts.ports import lasting_port
from tests.parts.process import Process, wait_for

MOCK_PARTITIONS = 4
_CALL_SECONDS = 30.0


def kind() -> str:
    """Return which broker the tests use, or why they are skipped, for the header."""
    if "KAFKA_BOOTSTRAP" in os.environ:
        return f"{os.environ['KAFKA_BOOTSTRAP']} (KAFKA_BOOTSTRAP)"
    return "noida-db, not the real thing" if _binary() else "SKIPPED, noida-db is not installed, and no KAFKA_BOOTSTRAP"


def _binary() -> Path | None:
    wheel = importlib.util.find_spec("noida_db")
    if wheel is None or wheel.origin is None:
        return None
    path = Path(wheel.origin).parent / "noida-db"
    return path if path.exists() else None


class Broker:
    """A broker; each test has topics of its own."""

    def __init__(self, bootstrap: str, process: Process | None = None, *, is_mock: bool = False) -> None:
        self.bootstrap = bootstrap
        self.process = process
        self._is_mock = is_mock

    def topic(self, partitions: int = 3) -> str:
        """Create a topic; return its name."""
        name = f"trades-{uuid.uuid4().hex[:12]}"
        if self._is_mock:
            assert partitions == MOCK_PARTITIONS
            self.produce(name, [("first", None)])  # creates it
            return name
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(_CALL_SECONDS)
        wait_for(lambda: len(admin.list_topics(name, timeout=_CALL_SECONDS).topics[name].partitions) == partitions)
        return name

    def url(self, topic: str, **options: object) -> str:
        """Return the address of a topic for AGGREGATOR_TRADES_LOG."""
        return f"kafka://{self.bootstrap}/{topic}?" + "&".join(f"{name}={value}" for name, value in options.items())

    def produce(self, topic: str, records: Iterable[tuple[str, bytes | None]], **config: object) -> None:
        """Produce records of keys and values, and wait until all are delivered."""
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "linger.ms": 5, "log_level": 2}
            | config
        )
        for key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(_CALL_SECONDS) == 0

    def committed(self, topic: str, group: str = "aggregator") -> Mapping[int, tuple[int, str]]:
        """Return the committed offset and metadata of each partition that has one."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            numbers = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
            found = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=_CALL_SECONDS)
            return {one.partition: (one.offset, one.metadata or "") for one in found if one.offset >= 0}
        finally:
            consumer.close()

    def commit(self, topic: str, partition: int, offset: int, group: str = "aggregator") -> None:
        """Commit an offset without metadata, as other software does."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        finally:
            consumer.close()

    def behind(self, topic: str, group: str = "aggregator") -> int:
        """Return the number of records that a group has not committed."""
        committed = self.committed(topic, group)
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            numbers = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
            ends = {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_CALL_SECONDS)[1]
                for number in numbers
            }
            return sum(end - committed.get(number, (0, ""))[0] for number, end in ends.items())
        finally:
            consumer.close()

    def records(self, topic: str, count: int) -> list[Any]:
        """Read `count` records from the beginning of a topic."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex})
        try:
            numbers = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
            found: list[Any] = []
            deadline = time.monotonic() + _CALL_SECONDS
            while len(found) < count and time.monotonic() < deadline:
                found += [one for one in consumer.consume(count, 0.1) if one.error() is None]
            return found
        finally:
            consumer.close()


@contextmanager
def running() -> Iterator[Broker]:
    """Run a broker, or use that of KAFKA_BOOTSTRAP; skip the test where there is none."""
    if kind().startswith("SKIPPED"):
        pytest.skip("no Kafka here; see the header")
    if "KAFKA_BOOTSTRAP" in os.environ:
        yield Broker(os.environ["KAFKA_BOOTSTRAP"])
        return
    port = lasting_port()
    with tempfile.TemporaryDirectory() as folder:
        process = Process(
            [str(_binary()), "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", folder],
            cwd=Path(folder),
        )
        broker = Broker(f"127.0.0.1:{port}", process)
        wait_for(lambda: _answers(broker.bootstrap))
        yield broker
        process.stop(SIGKILL)


@contextmanager
def with_groups() -> Iterator[Broker]:
    """Run a broker whose groups survive kills, or use that of KAFKA_BOOTSTRAP. Topics must have four partitions."""
    if "KAFKA_BOOTSTRAP" in os.environ:
        yield Broker(os.environ["KAFKA_BOOTSTRAP"])
        return
    process = Process([sys.executable, "-m", "tests.parts.kafka_mock"])
    yield Broker(process.wait_for_line(r"listening on (\S+)")[1], is_mock=True)
    process.stop(SIGKILL)


@contextmanager
def alone(topic: str, partitions: int) -> Iterator[Broker]:
    """Run a broker with one topic, whose groups survive kills and which SIGUSR1 takes down until SIGUSR2."""
    process = Process([sys.executable, "-m", "tests.parts.kafka_mock", topic, str(partitions)])
    yield Broker(process.wait_for_line(r"listening on (\S+)")[1], process, is_mock=True)
    process.stop(SIGKILL)


def _answers(bootstrap: str) -> bool:
    try:
        AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True
