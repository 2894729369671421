"""A Kafka producer whose delivery reports go to a function. For one thread."""

import logging
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable
from aggregator.trades.event_log.kafka_client import KafkaClients, reason_of

Report = Callable[[str, float], None]
"""Takes why a record was not delivered, empty if it was, and the seconds from `send` to the confirmation."""

_MOST = 100_000  # records that wait for their report
_PURGE_SECONDS = 1.0


class ReportingProducer:
    """Sends records to the topic of `clients`. `report` is called by `poll`, once for each record that was sent."""

    def __init__(self, clients: KafkaClients, report: Report) -> None:
        self._clients = clients
        self._report = report
        self._producer = clients.producer(_MOST, on_delivery=self._reported, error_cb=self._failed, logger=_silent())
        self.trouble = ""
        """The last error of a connection, such as a refused login; empty before one."""

    @property
    def waiting(self) -> int:
        """How many records have no report."""
        return len(self._producer)

    def partitions(self, seconds: float) -> int:
        """Return the number of partitions of the topic. Blocks. Raises StoreUnavailable and StoreRefused."""
        try:
            return self._clients.partitions(self._producer, seconds)
        except StoreRefused:
            raise
        except StoreError as error:
            self._producer.poll(0)  # the reason, such as a refused login, is told to the callback only
            said = f"{error} ({self.trouble})" if self.trouble else str(error)
            raise StoreUnavailable(said) from error

    def send(self, key: bytes, value: bytes) -> bool:
        """Hand a record over; return False if the buffer is full, so that it must be sent again after a `poll`.

        Raises StoreRefused where the producer cannot go on.
        """
        try:
            self._producer.produce(self._clients.address.topic, value, key)
        except BufferError:
            return False
        except KafkaException as error:
            raise StoreRefused(f"the producer cannot go on: {reason_of(error.args[0])}") from error
        return True

    def poll(self, seconds: float = 0.0) -> None:
        """Call `report` for the reports that are there; wait up to `seconds` for one."""
        self._producer.poll(seconds)

    def give_up(self) -> None:
        """Have a failure reported for each record that waits. A record that is under way may arrive all the same."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._producer.flush(_PURGE_SECONDS)

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._report("", message.latency() or 0.0)
        else:
            self._report(reason_of(error), 0.0)

    def _failed(self, error: KafkaError) -> None:
        self.trouble = reason_of(error)


def _silent() -> logging.Logger:
    """Return a logger that writes nothing: the library repeats each failed connection, which `trouble` has already."""
    logger = logging.Logger("aggregator.kafka")  # noqa: LOG001  # not a shared one
    logger.addHandler(logging.NullHandler())
    return logger
