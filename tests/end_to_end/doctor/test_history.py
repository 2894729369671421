"""`aggregator doctor` on the history: the DynamoDB table, the outbox in front of it, and the SQLite file."""

import uuid
from pathlib import Path

import aioboto3
import pytest

from aggregator.stores.outbox_file import OutboxFile
from tests.end_to_end.doctor.report import LOCAL, Report, run_doctor
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW, price
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real


def test_table_missing(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """A warning, as the service creates it; the doctor does not."""
    missing = dynamodb_running.url(f"none-{uuid.uuid4()}")
    for _ in range(2):
        report = Report(run_doctor(**on_dynamodb | {"history_url": missing}))
        assert (report.code, report.problems()) == (1, {"dynamodb": "warn"})
        assert "dynamodb:CreateTable" in report.finding("dynamodb")[1]


def test_dynamodb_away(on_dynamodb: dict[str, object]) -> None:
    """An endpoint at which nothing listens is a failure that names it."""
    url = f"dynamodb://prices?region=us-east-1&endpoint=http://127.0.0.1:{free_port()}"
    assert Report(run_doctor(**on_dynamodb | {"history_url": url})).problems() == {"dynamodb": "fail"}


@pytest.mark.parametrize("operation", ["DescribeTable", "Query", "BatchWriteItem", "DescribeTimeToLive"])
def test_dynamodb_without_a_right(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str, operation: str
) -> None:
    """The missing right is named."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny=operation)
    report = Report(run_doctor(**on_dynamodb | {"history_url": proxy.url(table)}, retention_days=1))
    proxy.stop()
    assert (report.code, report.problems()) == (2, {"dynamodb": "fail"})
    assert f"dynamodb:{operation}" in report.finding("dynamodb")[1]


def test_an_api_process_needs_fewer_rights(
    on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, redis_running: RedisServer, table: str
) -> None:
    """It writes no history and calls no exchange, so neither is checked."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    proxy.faults(deny="BatchWriteItem")
    settings = on_dynamodb | {"history_url": proxy.url(table), "role": "api", "cache_url": redis_running.url}
    report = Report(run_doctor(**settings | {"exchanges": f"gone=mock+http://127.0.0.1:{free_port()}"}))
    proxy.stop()
    assert report.problems() == {}, report.text


async def test_a_table_of_another_program(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """Its keys are not ours."""
    name = f"others-{uuid.uuid4()}"
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        await dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    report = Report(run_doctor(**on_dynamodb | {"history_url": dynamodb_running.url(name)}))
    assert (report.code, report.problems()) == (2, {"dynamodb": "fail"})
    assert "other keys" in report.finding("dynamodb")[1]


async def test_expiry(on_dynamodb: dict[str, object], dynamodb_running: DynamoServer, table: str) -> None:
    """With a retention, TTL off is a warning, TTL on another attribute a failure, TTL on ours all is well."""
    found = [Report(run_doctor(**on_dynamodb, retention_days=1)).problems()]
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        for attribute in ("ttl", "expires_at"):
            for enabled in (True, False) if attribute == "ttl" else (True,):
                await dynamodb.update_time_to_live(
                    TableName=table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
                )
                if enabled:
                    found.append(Report(run_doctor(**on_dynamodb, retention_days=1)).problems())
    assert found == [{"dynamodb": "warn"}, {"dynamodb": "fail"}, {}]


def test_outbox_in_no_folder(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """The path is named as in the settings."""
    path = tmp_path / "none" / "outbox.db"
    report = Report(run_doctor(**on_dynamodb | {"outbox_path": path}))
    assert (report.code, report.problems()) == (2, {"outbox": "fail"})
    assert f" {path}: " in report.finding("outbox")[1]
    assert "AGGREGATOR_OUTBOX_PATH" in report.finding("outbox")[1]


def test_outbox_larger_than_the_disk(on_dynamodb: dict[str, object]) -> None:
    """A largest size above the free disk space is a warning."""
    report = Report(run_doctor(**on_dynamodb | {"outbox_max_bytes": 1 << 50}))
    assert (report.code, report.problems()) == (1, {"outbox": "warn"})
    assert "AGGREGATOR_OUTBOX_MAX_BYTES" in report.finding("outbox")[1]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")  # noqa: S108  # the one memory disk
def test_outbox_in_memory(on_dynamodb: dict[str, object]) -> None:
    """A file system in memory is reported: the outbox must survive a restart."""
    path = Path(f"/dev/shm/{uuid.uuid4()}.db")  # noqa: S108  # memory of this machine, with a name of its own
    report = Report(run_doctor(**on_dynamodb | {"outbox_path": path}))
    assert "tmpfs" in report.finding("outbox")[1]
    assert not path.exists()


async def test_dead_letters(on_dynamodb: dict[str, object], tmp_path: Path) -> None:
    """Prices that DynamoDB refused for good are a warning that names the command to list them."""
    file = OutboxFile(tmp_path / "outbox.db", 1 << 30)
    await file.open()
    await file.append([price(timestamp=NOW)])
    await file.move_to_dead_letters((await file.after(0, 1))[0], "no", NOW)
    await file.close()
    report = Report(run_doctor(**on_dynamodb))
    assert report.problems() == {"outbox": "warn"}
    assert "aggregator dead-letters list" in report.finding("outbox")[1]


def test_a_history_that_is_no_database(healthy: dict[str, object], tmp_path: Path) -> None:
    """A failure."""
    (tmp_path / "prices.db").write_text("no database, but long enough to be looked at" * 50)
    assert Report(run_doctor(**healthy)).problems() == {"history": "fail"}
