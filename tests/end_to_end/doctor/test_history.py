"""`aggregator doctor` on the history: the table in DynamoDB, the outbox before it, and SQLite's file."""

import uuid
from pathlib import Path

import aioboto3
import pytest

from aggregator.stores.outbox_file import OutboxFile
from tests.end_to_end.doctor.report import LOCAL, Report, ran
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW, price
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real


def test_table_missing(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """One that is not there yet is not made, and a warning, as the service makes it."""
    missing = dynamodb_running.url(f"none-{uuid.uuid4()}")
    for _ in range(2):
        report = Report(ran(**on_dynamodb | {"history_url": missing}))
        assert (report.code, report.amiss()) == (1, {"dynamodb": "warn"})
        assert "dynamodb:CreateTable" in report.of("dynamodb")[1]


def test_dynamodb_away(on_dynamodb: dict[str, object]) -> None:
    """Nobody at the endpoint."""
    url = f"dynamodb://prices?region=us-east-1&endpoint=http://127.0.0.1:{free_port()}"
    assert Report(ran(**on_dynamodb | {"history_url": url})).amiss() == {"dynamodb": "fail"}


@pytest.mark.parametrize("operation", ["DescribeTable", "Query", "BatchWriteItem", "DescribeTimeToLive"])
def test_dynamodb_without_a_right(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str, operation: str
) -> None:
    """The action that is not allowed is named."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny=operation)
    report = Report(ran(**on_dynamodb | {"history_url": proxy.url(table)}, retention_days=1))
    proxy.stop()
    assert (report.code, report.amiss()) == (2, {"dynamodb": "fail"})
    assert f"dynamodb:{operation}" in report.of("dynamodb")[1]


def test_who_only_answers_needs_less(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, redis_running: RedisServer, table: str
) -> None:
    """An API process writes no history and asks no exchange, so neither is looked at."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny="BatchWriteItem")
    settings = on_dynamodb | {"history_url": proxy.url(table), "role": "api", "cache_url": redis_running.url}
    report = Report(ran(**settings | {"exchanges": f"gone=mock+http://127.0.0.1:{free_port()}"}))
    proxy.stop()
    assert report.amiss() == {}, report.text


async def test_table_of_somebody_else(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """Other keys than ours, or items that expire by another attribute."""
    name = f"others-{uuid.uuid4()}"
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        await dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    report = Report(ran(**on_dynamodb | {"history_url": dynamodb_running.url(name)}))
    assert (report.code, report.amiss()) == (2, {"dynamodb": "fail"})
    assert "other keys" in report.of("dynamodb")[1]


async def test_expiry(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str) -> None:
    """With a retention: TTL off is a warning, by another attribute a failure, by ours all is well."""
    found = [Report(ran(**on_dynamodb, retention_days=1)).amiss()]
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        for attribute in ("ttl", "expires_at"):
            for enabled in (True, False) if attribute == "ttl" else (True,):
                await dynamodb.update_time_to_live(
                    TableName=table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
                )
                if enabled:
                    found.append(Report(ran(**on_dynamodb, retention_days=1)).amiss())
    assert found == [{"dynamodb": "warn"}, {"dynamodb": "fail"}, {}]


def test_outbox_in_no_folder(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """A path that cannot hold a file, named as the settings have it."""
    path = tmp_path / "none" / "outbox.db"
    report = Report(ran(**on_dynamodb | {"outbox_path": path}))
    assert (report.code, report.amiss()) == (2, {"outbox": "fail"})
    assert f" {path}: " in report.of("outbox")[1]
    assert "AGGREGATOR_OUTBOX_PATH" in report.of("outbox")[1]


def test_outbox_larger_than_the_disk(on_dynamodb: dict[str, object]) -> None:
    """A bound that the disk cannot hold is a warning."""
    report = Report(ran(**on_dynamodb | {"outbox_max_bytes": 1 << 50}))
    assert (report.code, report.amiss()) == (1, {"outbox": "warn"})
    assert "AGGREGATOR_OUTBOX_MAX_BYTES" in report.of("outbox")[1]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")  # noqa: S108  # the one memory disk
def test_outbox_in_memory(on_dynamodb: dict[str, object]) -> None:
    """A disk that forgets is no place for what has to outlive the process."""
    path = Path(f"/dev/shm/{uuid.uuid4()}.db")  # noqa: S108  # likewise
    report = Report(ran(**on_dynamodb | {"outbox_path": path}))
    assert "tmpfs" in report.of("outbox")[1]
    assert not path.exists()


async def test_dead_letters(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """What DynamoDB has refused for good is told, and how to look at it."""
    file = OutboxFile(tmp_path / "outbox.db", 1 << 30)
    await file.open()
    await file.append([price(timestamp=NOW)])
    await file.move_to_dead_letters((await file.after(0, 1))[0], "no", NOW)
    await file.close()
    report = Report(ran(**on_dynamodb))
    assert report.amiss() == {"outbox": "warn"}
    assert "aggregator dead-letters list" in report.of("outbox")[1]


def test_history_that_is_none(sound: dict[str, object], tmp_path: Path) -> None:
    """A file that is no database."""
    (tmp_path / "prices.db").write_text("no database, but long enough to be looked at" * 50)
    assert Report(ran(**sound)).amiss() == {"history": "fail"}
