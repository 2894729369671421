"""Sign-in with AWS credentials, as at Amazon MSK: librdkafka and a broker that checks the signature of its token."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.errors import StoreRefused
from aggregator.trades.event_log.kafka.address import AWS_MSK_IAM, KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.admin import KafkaAdmin, NoLogin
from aggregator.trades.event_log.kafka.aws_sign_in import AwsSignIn
from aggregator.trades.event_log.kafka.client import KafkaClients
from tests.parts.certificates import server_context
from tests.parts.sasl import Bearer
from tests.trades.event_log.kafka_login import broker_with_login, is_signed
from tests.trades.event_log.test_kafka_tls import delivered

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105  # the example of Amazon's documentation
SECONDS = 5.0


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give the process credentials and a region, and none of this machine's."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """Run a broker with TLS that takes tokens signed with SECRET."""
    login = {"OAUTHBEARER": lambda: Bearer(lambda token: is_signed(token, SECRET))}
    async with broker_with_login(server_context(tmp_path), login) as address:
        yield address


def clients(broker: str, tmp_path: Path, security: str = "tls") -> KafkaClients:
    """Return clients that sign in."""
    address = parse_kafka_url(f"kafka://{broker}/trades?security={security}")
    return KafkaClients(address, KafkaSecurity(mechanism=AWS_MSK_IAM, ca=str(tmp_path / "certificate.pem")))


@pytest.mark.real
async def test_records_are_written_and_read_after_the_sign_in(broker: str, tmp_path: Path) -> None:
    """Producer and consumer sign in with a token that the broker checks, and a record goes through."""
    assert await asyncio.to_thread(delivered, clients(broker, tmp_path)) == [b"a value"]


@pytest.mark.real
async def test_a_broker_refuses_another_signature(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token signed with another key is refused as a login, which `aggregator doctor` names."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    admin = KafkaAdmin(clients(broker, tmp_path), SECONDS)
    with pytest.raises(NoLogin, match="refuses the connection"):
        await asyncio.to_thread(admin.topic)


def test_the_region_is_that_of_the_brokers() -> None:
    """The names of MSK's brokers have the region; other names take that of the process."""
    for name in ("boot-x1.c2.kafka-serverless.us-east-2.amazonaws.com", "b-1.x.y1.c2.kafka.us-east-2.amazonaws.com"):
        token, _ = AwsSignIn(f"{name}:9098").token()
        assert is_signed(token, SECRET)
        assert "us-east-2" in _url(token)
    assert "eu-west-1" in _url(AwsSignIn("broker:9098").token()[0])


def test_without_credentials_or_tls_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without TLS, a region or credentials no client is made, and the error says which is missing."""
    with pytest.raises(StoreRefused, match="security=tls"):
        clients("127.0.0.1:9098", tmp_path, "plaintext").admin()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StoreRefused, match="name a region"):
        clients("127.0.0.1:9098", tmp_path).admin()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreRefused, match="no credentials"):
        clients("b-1.x.y1.c2.kafka.us-east-2.amazonaws.com:9098", tmp_path).consumer()


def _url(token: str) -> str:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
