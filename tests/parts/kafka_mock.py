"""`python -m tests.parts.kafka_mock [TOPIC PARTITIONS]`: librdkafka's mock cluster of one broker, in a process.

It prints its address. SIGUSR1 takes the broker down: it closes its connections and refuses new ones; records, commits
and groups are kept. SIGUSR2 brings it up. Topics are created by their first use and have four partitions, but for
TOPIC. The newest 5 MB of each partition are kept, in memory. The broker does not recognise a repeated batch of an
idempotent producer, so a retry may write a record twice. Each rebalance takes a second less than the session, as the
cluster waits so long whether all members have joined or not.
"""

import ctypes
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka

_PRODUCER = 0  # RD_KAFKA_PRODUCER
_BROKER = 1  # the number of the only broker
_REBALANCE_DELAY_MS = 2_000  # of a new group


class MockCluster:
    """The cluster, through the C functions of the library that the wheel of confluent-kafka has."""

    def __init__(self) -> None:
        folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
        self._library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
        client = self._pointer("rd_kafka_new", _PRODUCER, self._pointer("rd_kafka_conf_new"), None, ctypes.c_size_t(0))
        self._cluster = self._pointer("rd_kafka_mock_cluster_new", client, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _REBALANCE_DELAY_MS)

    @property
    def address(self) -> str:
        """The brokers, as host:port."""
        function = self._library.rd_kafka_mock_cluster_bootstraps
        function.restype = ctypes.c_char_p
        found: bytes = function(self._cluster)
        return found.decode()

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic."""
        self._call("rd_kafka_mock_topic_create", topic.encode(), partitions, 1)

    def advertise(self, port: int) -> None:
        """Name another port of 127.0.0.1 to clients, such as that of a proxy."""
        self._library.rd_kafka_mock_broker_set_host_port(self._cluster, _BROKER, b"127.0.0.1", port)

    def close(self) -> None:
        """Destroy the cluster."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)

    def set_down(self) -> None:
        """Close all connections and refuse new ones."""
        self._call("rd_kafka_mock_broker_set_down", _BROKER)

    def set_up(self) -> None:
        """Accept connections again."""
        self._call("rd_kafka_mock_broker_set_up", _BROKER)

    def _call(self, name: str, *arguments: Any) -> None:
        assert not getattr(self._library, name)(self._cluster, *arguments), name

    def _pointer(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p
        return ctypes.c_void_p(function(*arguments))


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is killed."""
    numbers = {signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # in the threads of the library, too
    cluster = MockCluster()
    if arguments:
        cluster.create(arguments[0], int(arguments[1]))
    print("listening on", cluster.address, flush=True)  # noqa: T201  # for who started it
    while True:
        if signal.sigwait(numbers) == signal.SIGUSR1:
            cluster.set_down()
        else:
            cluster.set_up()


if __name__ == "__main__":
    main(sys.argv[1:])
