"""Addresses of Kafka topics."""

import pytest

from aggregator.trades.event_log.kafka.address import KafkaAddress, parse_kafka_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("kafka://broker:9092/topic", KafkaAddress("broker:9092", "topic")),
        ("kafka://a.b:1,10.0.0.1:9092,[::1]:65535/m.a-r_k", KafkaAddress("a.b:1,10.0.0.1:9092,[::1]:65535", "m.a-r_k")),
        (
            "kafka://b:9092/t?format=protobuf&group=my%20group&security=tls&session=45&rebalance=eager",
            KafkaAddress("b:9092", "t", "protobuf", "my group", "tls", 45, "eager"),
        ),
    ],
)
def test_addresses(url: str, address: KafkaAddress) -> None:
    """Brokers, topic and options; what is not given has its default."""
    assert parse_kafka_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kafka://", "must be kafka://broker:9092/topic"),
        ("kafka://broker:9092", "must be kafka://broker:9092/topic"),
        ("kafka://broker:9092/", "must be kafka://broker:9092/topic"),
        ("kafka://broker:9092/a/b", "must be kafka://broker:9092/topic"),
        ("kafka://broker:9092/topic#part", "must be kafka://broker:9092/topic"),
        ("kafka://broker/topic", "host:port"),
        ("kafka://broker:0/topic", "host:port"),
        ("kafka://broker:65536/topic", "host:port"),
        ("kafka://a:9092,,b:9092/topic", "host:port"),
        ("kafka://user:secret@broker:9092/topic", "AGGREGATOR_KAFKA_USERNAME"),
        ("kafka://broker:9092/to pic", "1 to 249 letters"),
        ("kafka://broker:9092/..", "1 to 249 letters"),
        (f"kafka://broker:9092/{'a' * 250}", "1 to 249 letters"),
        ("kafka://broker:9092/topic?format=avro", "json or protobuf"),
        ("kafka://broker:9092/topic?format=json&format=json", "format once"),
        ("kafka://broker:9092/topic?security=ssl", "plaintext or tls"),
        ("kafka://broker:9092/topic?group=", "1 to 200 printable"),
        ("kafka://broker:9092/topic?group=a%0Ab", "1 to 200 printable"),
        ("kafka://broker:9092/topic?session=5", "6 to 300"),
        ("kafka://broker:9092/topic?session=301", "6 to 300"),
        ("kafka://broker:9092/topic?session=1e2", "6 to 300"),
        ("kafka://broker:9092/topic?session=\u0667", "6 to 300"),
        (f"kafka://broker:9092/topic?session={'9' * 5000}", "6 to 300"),
        ("kafka://broker:9092/topic?password=secret", "not 'password'"),
    ],
)
def test_wrong_addresses(url: str, says: str) -> None:
    """The message says what is allowed, and shows no value that may be secret."""
    with pytest.raises(ValueError, match=r".") as refused:
        parse_kafka_url(url)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)
