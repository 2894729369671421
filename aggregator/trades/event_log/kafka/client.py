"""The configuration of Kafka clients, on confluent-kafka (librdkafka). `pip install -e '.[kafka]'` brings it.

The modules that import it are loaded only for a `kafka://` log.
"""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from aggregator.errors import StoreRefused, StoreUnavailable, printable
from aggregator.trades.event_log.kafka.address import AWS_MSK_IAM, KafkaAddress, KafkaSecurity

Client = TypeVar("Client")

_LINGER_MS = 1
_FETCH_BACKOFF_MS = 5  # the default of 1,000 stalls a consumer whose queue was full
_QUEUED_KB = 64 * 1024
_QUEUED_RECORDS = 10_000  # that the library reads ahead in a partition
_DELIVERY_MS = 30_000


class KafkaClients:
    """Makes the clients of one topic. The library logs by Python's `logging`."""

    def __init__(self, address: KafkaAddress, security: KafkaSecurity) -> None:
        self.address = address
        tls = address.security == "tls"
        self._config: dict[str, object] = {
            "bootstrap.servers": address.brokers,
            "client.id": "aggregator",
            "security.protocol": "SSL" if tls else "PLAINTEXT",
            "log_level": 2,  # errors come to `error_cb`, too
        }
        if tls and security.ca:
            self._config["ssl.ca.location"] = security.ca
        self._signs_in = security.mechanism == AWS_MSK_IAM
        if security.username and not self._signs_in:
            self._config |= {
                "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
                "sasl.mechanism": security.mechanism,
                "sasl.username": security.username,
                "sasl.password": security.password,
            }

    def consumer(self, **callbacks: object) -> Consumer:
        """Return a consumer that is not subscribed yet; nothing is committed by itself. Raises StoreRefused."""
        address = self.address
        return _created(
            Consumer,
            self._logged_in()
            | {
                "group.id": address.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky" if self.is_cooperative else "range",
                "session.timeout.ms": address.session * 1000,
                "heartbeat.interval.ms": address.session * 1000 // 6,
                "fetch.queue.backoff.ms": _FETCH_BACKOFF_MS,
                "queued.max.messages.kbytes": _QUEUED_KB,
                "queued.min.messages": _QUEUED_RECORDS,
                "fetch.wait.max.ms": 100,
            }
            | callbacks,
        )

    def producer(self, most: int, **callbacks: object) -> Producer:
        """Return a producer of at most `most` records that are not delivered; all replicas have a delivered one.

        The partitioner is that of the Java client, so that both put an asset into the same partition. Raises
        StoreRefused.
        """
        return _created(
            Producer,
            self._logged_in()
            | {
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": _LINGER_MS,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": most,
                "delivery.timeout.ms": _DELIVERY_MS,
            }
            | callbacks,
        )

    def admin(self, **callbacks: object) -> AdminClient:
        """Return a client for questions about topics and groups. Raises StoreRefused."""
        return AdminClient(self._logged_in() | callbacks)

    def _logged_in(self) -> dict[str, object]:
        """Return the configuration with the sign-in by AWS credentials, if it is wanted. Raises StoreRefused."""
        if not self._signs_in:
            return self._config
        from aggregator.trades.event_log.kafka.aws_sign_in import AwsSignIn  # noqa: PLC0415  # Amazon's libraries take 0.3 s

        if self.address.security != "tls":
            raise StoreRefused(f"{AWS_MSK_IAM} sends a token, so the address needs security=tls")
        sign_in = AwsSignIn(self.address.brokers)
        login = {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": sign_in.token}
        return self._config | login

    @property
    def is_cooperative(self) -> bool:
        """Whether a rebalance leaves the partitions in place that do not move."""
        return self.address.rebalance == "cooperative"

    def partitions(self, client: Consumer | Producer, seconds: float) -> int:
        """Return the number of partitions of the topic. Blocks. Raises StoreUnavailable and StoreRefused."""
        topic, brokers = self.address.topic, self.address.brokers
        try:
            found = client.list_topics(topic, timeout=seconds).topics[topic]
        except KafkaException as error:
            raise StoreUnavailable(f"no broker of {brokers} answers: {reason_of(error.args[0])}") from error
        if found.error is not None or not found.partitions:
            raise StoreRefused(f"the topic {topic} cannot be read: {reason_of(found.error) or 'no partitions'}")
        return len(found.partitions)


def _created(kind: Callable[[dict[str, object]], Client], config: dict[str, object]) -> Client:
    """Return a new client. Raises StoreRefused for a configuration that cannot work, such as a missing file."""
    try:
        return kind(config)
    except KafkaException as error:
        raise StoreRefused(reason_of(error.args[0])) from error


def reason_of(error: KafkaError | None) -> str:
    """Return an error in words."""
    return "" if error is None else printable(f"{error.name()}: {error.str()}")


def position(topic: str, partition: int, offset: int, metadata: str = "") -> TopicPartition:
    """Return an offset of a partition, with the metadata of its commit."""
    return TopicPartition(topic, partition, offset, metadata)
