"""Logins with user and password: librdkafka and a server of ours in front of its mock cluster, which has no login.

librdkafka checks the signature of the server in SCRAM. No broker that can be installed here lets a user be made.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.admin import KafkaAdmin, NoLogin
from aggregator.trades.event_log.kafka.client import KafkaClients
from tests.parts.certificates import server_context
from tests.parts.sasl import Plain, Scram
from tests.trades.event_log.kafka_login import Mechanisms, broker_with_login
from tests.trades.event_log.test_kafka_tls import delivered

pytestmark = pytest.mark.real
USER, PASSWORD = "trade,reader=1", "a pass,word=é"
SECONDS = 5.0
MECHANISMS: Mechanisms = {
    "PLAIN": partial(Plain, {USER: PASSWORD}),
    "SCRAM-SHA-256": partial(Scram, {USER: PASSWORD}, "sha256"),
    "SCRAM-SHA-512": partial(Scram, {USER: PASSWORD}, "sha512"),
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """Run a broker with TLS and these logins; return its address. Its certificate is in `certificate.pem`."""
    async with broker_with_login(server_context(tmp_path), MECHANISMS) as address:
        yield address


def clients(broker: str, folder: Path, mechanism: str, password: str = PASSWORD, user: str = USER) -> KafkaClients:
    """Return clients that sign in, by TLS."""
    security = KafkaSecurity(user, password, mechanism, ca=str(folder / "certificate.pem"))
    return KafkaClients(parse_kafka_url(f"kafka://{broker}/trades?security=tls"), security)


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_records_go_through_after_the_login(broker: str, tmp_path: Path, mechanism: str) -> None:
    """Producer and consumer sign in by each mechanism, with signs that SCRAM escapes, and a record goes through."""
    assert await asyncio.to_thread(delivered, clients(broker, tmp_path, mechanism)) == [b"a value"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_another_password_is_refused(broker: str, tmp_path: Path, mechanism: str) -> None:
    """A wrong password is refused as a login, which `aggregator doctor` names."""
    admin = KafkaAdmin(clients(broker, tmp_path, mechanism, "another"), SECONDS)
    with pytest.raises(NoLogin, match="refuses the connection"):
        await asyncio.to_thread(admin.topic)


async def test_a_mechanism_that_the_broker_does_not_take(tmp_path: Path) -> None:
    """A login by SCRAM at a broker that takes PLAIN alone is refused as a login."""
    async with broker_with_login(server_context(tmp_path), {"PLAIN": MECHANISMS["PLAIN"]}) as address:
        admin = KafkaAdmin(clients(address, tmp_path, "SCRAM-SHA-512"), SECONDS)
        with pytest.raises(NoLogin, match="refuses the connection"):
            await asyncio.to_thread(admin.topic)


async def test_a_login_without_tls() -> None:
    """With `security=plaintext`, the login goes over a connection without TLS."""
    async with broker_with_login(None, MECHANISMS) as address:
        security = KafkaSecurity(USER, PASSWORD, "SCRAM-SHA-512")
        made = KafkaClients(parse_kafka_url(f"kafka://{address}/trades"), security)
        assert await asyncio.to_thread(delivered, made) == [b"a value"]
