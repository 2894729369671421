"""A Kafka producer whose delivery reports go to a function. For one thread."""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from aggregator.errors import StoreRefused
from aggregator.trades.event_log.kafka.admin import LastError, silent
from aggregator.trades.event_log.kafka.client import KafkaClients, reason_of

Report = Callable[[str, float], None]
"""Takes why a record was not delivered, empty if it was, and the seconds from `send` to the confirmation."""

_MOST = 100_000  # records that wait for their report
_PURGE_SECONDS = 1.0
_READY_SECONDS = 0.7  # the library asks for the id of an idempotent producer every 0.5 s once it is connected


class ReportingProducer:
    """Sends records to the topic of `clients`. `report` is called by `poll`, once for each record that was sent."""

    def __init__(self, clients: KafkaClients, report: Report) -> None:
        self._clients = clients
        self._report = report
        self._error = LastError()
        self._producer = clients.producer(_MOST, on_delivery=self._reported, error_cb=self._error, logger=silent())

    def open(self, seconds: float) -> None:
        """Connect. Blocks. Raises StoreUnavailable and StoreRefused.

        It waits until the brokers have given the producer its id: the first records would wait for it, which is no
        latency of theirs.
        """
        self._clients.partitions(self._producer, seconds)
        self._producer.poll(_READY_SECONDS)

    @property
    def trouble(self) -> str:
        """The last error of a connection, such as a refused login; empty before one."""
        return self._error.text

    @property
    def waiting(self) -> int:
        """The number of records without a report."""
        return len(self._producer)

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
