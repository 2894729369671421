"""Questions about a Kafka topic and its consumer group, and the creation of a topic. Each call blocks."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import NewTopic, OffsetSpec

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.trades.event_log.kafka.client import KafkaClients, reason_of

_LATER = 0.5  # seconds after the limit of a call, within which the library says why it did not end

Operations = frozenset[str] | None
"""The operations that the brokers allow us, such as READ and WRITE; None where they do not tell."""


class TopicState(NamedTuple):
    """A topic as the brokers describe it. `partitions` is 0 if it does not exist."""

    partitions: int
    operations: Operations = None


class GroupState(NamedTuple):
    """A consumer group as the brokers describe it. `lag` is in records, from the committed offsets to the ends.

    A partition without a commit counts from its first record.
    """

    members: int
    lag: int
    operations: Operations = None


class NoLogin(StoreRefused):
    """The brokers refuse user and password, or the mechanism."""


class NoTls(StoreRefused):
    """TLS fails: the certificates do not match, or one of both sides does not speak it."""


class LastError:
    """The last error of the connections of a client, for its `error_cb`: a call that fails says only that it did."""

    def __init__(self) -> None:
        self.text = ""
        self._error: type[StoreRefused] | None = None

    def __call__(self, error: KafkaError) -> None:
        """Note an error, unless it only sums up others."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # librdkafka's own codes have this form
            return
        self.text = reason_of(error)
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001  # librdkafka documents this code
            self._error = NoLogin
        elif error.code() == KafkaError._SSL or "SSL" in error.str():  # noqa: SLF001  # a code that librdkafka documents
            self._error = NoTls

    def mapped(self, brokers: str, why: str) -> StoreUnavailable | StoreRefused:
        """Return the exception for a call without an answer; `why` is the reason if there was no error."""
        text = self.text or why
        if self._error is not None:
            return self._error(f"{brokers} refuses the connection: {text}")
        return StoreUnavailable(f"no broker of {brokers} answers: {text}")


def silent() -> logging.Logger:
    """Return a logger that writes nothing: the library logs each failed connection, which `LastError` notes, too."""
    logger = logging.Logger("aggregator.kafka")  # noqa: LOG001  # not a shared one
    logger.addHandler(logging.NullHandler())
    return logger


class KafkaAdmin:
    """Asks the brokers of `clients`. Each call takes at most `seconds`; raises StoreUnavailable, NoLogin or NoTls."""

    def __init__(self, clients: KafkaClients, seconds: float) -> None:
        self._address = clients.address
        self._seconds = seconds
        self._error = LastError()
        self._admin = clients.admin(error_cb=self._error, logger=silent())

    def topic(self) -> TopicState:
        """Return the state of the topic, which no question creates."""
        name = self._address.topic
        try:
            found = self._asked(self._describe_topic)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return TopicState(0)
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return TopicState(0, frozenset())
            raise StoreRefused(f"topic {name}: {reason_of(error.args[0])}") from error
        return TopicState(len(found.partitions), _names(found.authorized_operations))

    def group(self, partitions: int) -> GroupState:
        """Return the state of the consumer group on a topic with so many partitions."""
        try:
            found = self._asked(self._describe_group)
            return GroupState(
                len(found.members), self._asked(lambda: self._lag(partitions)), _names(found.authorized_operations)
            )
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                return GroupState(0, 0, frozenset())
            raise StoreRefused(f"group {self._address.group}: {reason_of(error.args[0])}") from error

    def create_topic(self, partitions: int) -> bool:
        """Create the topic; return False if it is there already. The brokers decide on the replicas."""
        name = self._address.topic
        try:
            self._asked(
                lambda: self._admin.create_topics([NewTopic(name, partitions)])[name].result(self._seconds + _LATER)
            )
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise StoreRefused(f"the topic {name} cannot be created: {reason_of(error.args[0])}") from error
        return True

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """Return the answer. Raises KafkaException for one that a broker refused."""
        try:
            return ask()
        except KafkaException as error:
            self._admin.poll(0)  # calls `LastError`
            if error.args[0].code() < 0:  # the library's own: no broker answered
                raise self._error.mapped(self._address.brokers, reason_of(error.args[0])) from error
            raise
        except TimeoutError as error:
            self._admin.poll(0)
            why = f"nothing within {self._seconds:g} s"
            raise self._error.mapped(self._address.brokers, why) from error

    def _describe_topic(self) -> Any:
        topics = TopicCollection([self._address.topic])
        asked = self._admin.describe_topics(topics, include_authorized_operations=True, request_timeout=self._seconds)
        return asked[self._address.topic].result(self._seconds + _LATER)

    def _describe_group(self) -> Any:
        group = self._address.group
        asked = self._admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=self._seconds
        )
        return asked[group].result(self._seconds + _LATER)

    def _lag(self, partitions: int) -> int:
        group, topic = self._address.group, self._address.topic
        all_of = [TopicPartition(topic, number) for number in range(partitions)]
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, all_of)], request_timeout=self._seconds
        )
        committed = {one.partition: one.offset for one in asked[group].result(self._seconds + _LATER).topic_partitions}
        first, last = (self._offsets(all_of, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        return sum(max(0, last[number] - max(committed.get(number, -1), first[number])) for number in last)

    def _offsets(self, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
        asked = self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=self._seconds)
        return {one.partition: future.result(self._seconds + _LATER).offset for one, future in asked.items()}


def _names(operations: Any) -> Operations:
    return None if operations is None else frozenset(one.name for one in operations)
