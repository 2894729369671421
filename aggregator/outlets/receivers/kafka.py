"""`kafka://broker:9092[,broker2:9092]/topic[?security=tls]`: events as records of a Kafka topic, keyed by asset.

User and password are the settings KAFKA_…, as for the log of trades. confluent-kafka is not imported until an outlet is
created.
"""

from aggregator.libraries.extras import has_extra, install
from aggregator.outlets.address import Form, OutletAddress
from aggregator.outlets.definition import OutletKind, OutletParts
from aggregator.outlets.ports import Outlet
from aggregator.trades.event_log.kafka.address import KafkaAddress, parse_kafka_url


def kafka_address(address: OutletAddress) -> KafkaAddress:
    """Return brokers and topic. Raises ValueError."""
    security = address.options.get("security")
    return parse_kafka_url(address.url + (f"?security={security}" if security is not None else ""))


def _check(address: OutletAddress) -> None:
    kafka_address(address)
    if not has_extra("kafka"):
        raise ValueError(f"confluent-kafka is not installed; {install('kafka')}")


def _create(address: OutletAddress, parts: OutletParts) -> Outlet:
    from aggregator.outlets.receivers.kafka_topic import KafkaTopic  # noqa: PLC0415  # `kafka` is an extra

    return KafkaTopic(kafka_address(address), parts.kafka_security)


KAFKA = OutletKind(Form("kafka://broker:9092/topic", ("security",)), _check, _create)
