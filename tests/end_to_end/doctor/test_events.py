"""`aggregator doctor` on the store of events and positions."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aioboto3
import pytest
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.stores.events.dynamodb_table import EventTable
from tests.end_to_end.doctor.report import LOCAL, Report, run_doctor
from tests.parts.dynamodb import DynamoServer

pytestmark = pytest.mark.real


def test_a_file_of_events(healthy: dict[str, object], tmp_path: Path) -> None:
    """A missing file is not made; one in a missing folder is a failure that names the setting."""
    assert Report(run_doctor(**healthy)).finding("events")[0] == "ok"
    assert not (tmp_path / "events.db").exists()
    report = Report(run_doctor(**healthy | {"events_url": f"sqlite:///{tmp_path}/none/events.db"}))
    assert (report.code, report.problems()) == (2, {"events": "fail"})
    assert "AGGREGATOR_EVENTS_URL" in report.finding("events")[1]


@pytest.fixture
async def table_url(dynamodb_running: DynamoServer) -> AsyncIterator[str]:
    """Return the URL of a table that the service has made."""
    name = f"doctor-events-{uuid.uuid4()}"
    made = EventTable(name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await made.open()
    yield dynamodb_running.url(name)
    await made.close()


async def test_a_table_of_events(healthy: dict[str, object], table_url: str, dynamodb_running: DynamoServer) -> None:
    """It can be used, also in transactions, and no item is left in it."""
    report = Report(run_doctor(**healthy | {"events_url": table_url}))
    assert report.problems() == {}, report.text
    assert "it deletes events after 30 days" in report.finding("events")[1]
    name = table_url.partition("://")[2].partition("?")[0]
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        assert (await dynamodb.scan(TableName=name))["Items"] == []


def test_a_table_of_prices_is_none_of_events(
    healthy: dict[str, object], table: str, dynamodb_running: DynamoServer
) -> None:
    """It has other keys, so the setting must name another table."""
    report = Report(run_doctor(**healthy | {"events_url": dynamodb_running.url(table)}))
    assert report.problems() == {"events": "fail"}
    assert "name another table (AGGREGATOR_EVENTS_URL)" in report.finding("events")[1]
