"""TLS to a broker: librdkafka's mock cluster behind a server that ends TLS, with a certificate of its own.

test_kafka_login.py and test_kafka_aws.py have the logins.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from aggregator.errors import StoreUnavailable
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients
from tests.parts.certificates import server_context
from tests.parts.kafka_mock import MockCluster
from tests.parts.tcp_server import port_of, tcp_server

pytestmark = pytest.mark.real
CALL_SECONDS = 30.0
REFUSED_SECONDS = 3.0  # a client tries again until then
_PART = 1 << 16


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(ConnectionError):
        while part := await reader.read(_PART):
            writer.write(part)
            await writer.drain()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """Run a broker with TLS; return its address. Its certificate is in `certificate.pem`."""
    cluster = MockCluster()
    cluster.create("trades", 2)
    host, _, port = cluster.address.partition(":")
    context = server_context(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))

    async with tcp_server(serve, tls=context) as server:
        cluster.advertise(port_of(server))
        yield f"127.0.0.1:{port_of(server)}"
    await asyncio.to_thread(cluster.close)


def clients(broker: str, ca: Path | None, security: str = "tls") -> KafkaClients:
    """Return the clients of the topic."""
    address = parse_kafka_url(f"kafka://{broker}/trades?security={security}")
    return KafkaClients(address, KafkaSecurity(ca=str(ca) if ca else ""))


def delivered(made: KafkaClients) -> list[bytes]:
    """Write a record; return the values of those that are read."""
    producer, consumer = made.producer(10), made.consumer()
    assert made.partitions(producer, CALL_SECONDS) == 2
    producer.produce("trades", b"a value", "a key")
    assert producer.flush(CALL_SECONDS) == 0
    consumer.subscribe(["trades"])
    found = [message.value() for message in consumer.consume(1, CALL_SECONDS)]
    consumer.close()
    return found


async def test_records_go_through_tls(broker: str, tmp_path: Path) -> None:
    """With the authority of the broker's certificate in AGGREGATOR_KAFKA_CA, records are written and read."""
    found = await asyncio.to_thread(delivered, clients(broker, tmp_path / "certificate.pem"))
    assert found == [b"a value"]


@pytest.mark.parametrize("security", ["tls", "plaintext"])
async def test_a_broker_that_is_not_trusted(broker: str, security: str) -> None:
    """Without the authority no connection is made, and a plaintext client gets no answer from a TLS listener."""
    made = clients(broker, None, security)
    with pytest.raises(StoreUnavailable, match="no broker"):
        await asyncio.to_thread(lambda: made.partitions(made.producer(10), REFUSED_SECONDS))
