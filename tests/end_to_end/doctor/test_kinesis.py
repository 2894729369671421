"""`aggregator doctor` on a Kinesis log: the stream, the table of leases, and the rights on both."""

from collections.abc import Iterator

import pytest

from aggregator.stores.trades.memory import MemoryTrades
from tests.end_to_end.doctor.report import Report, run_doctor
from tests.parts.kinesis import Kinesis
from tests.parts.kinesis_processing import processing
from tests.parts.processing import as_json, trade

pytestmark = pytest.mark.real


@pytest.fixture
def kinesis(kinesis_running: Kinesis) -> Iterator[Kinesis]:
    """Return the server, without faults before and after the test."""
    kinesis_running.proxy.faults()
    yield kinesis_running
    kinesis_running.proxy.faults()


def test_a_stream_without_leases(healthy: dict[str, object], kinesis: Kinesis) -> None:
    """A warning, as the service creates the table; the doctor does not."""
    log = {"trades_log": kinesis.url(kinesis.stream(3))}
    for _ in range(2):
        report = Report(run_doctor(**healthy | log))
        assert (report.code, report.problems()) == (1, {"leases": "warn"}), report.text
        assert "in us-east-1 has 3 shards, and we may read it" in report.finding("kinesis")[1]
        assert "dynamodb:CreateTable" in report.finding("leases")[1]
    assert "leases" not in Report(run_doctor(**healthy | log | {"role": "api"})).text


@pytest.mark.parametrize(
    ("denied", "check", "right"),
    [
        ("", "", ""),
        ("GetRecords", "kinesis", "GetRecords"),
        ("ListShards", "kinesis", "kinesis:ListShards"),
        ("UpdateItem", "leases", "UpdateItem"),
        ("Scan", "leases", "Scan"),
    ],
)
async def test_rights(healthy: dict[str, object], kinesis: Kinesis, denied: str, check: str, right: str) -> None:
    """With the leases that a process has made, all is well; a missing right is named; nothing is changed."""
    stream = kinesis.stream(2)
    async with processing(kinesis.url(stream), MemoryTrades(3600)) as running:
        kinesis.put(stream, [as_json(trade(1))])
        await running.has_published(1)
    before = kinesis.leases(stream)
    kinesis.proxy.faults(deny=denied)
    report = Report(run_doctor(**healthy | {"trades_log": kinesis.url(stream)}))
    kinesis.proxy.faults()
    assert report.problems() == ({check: "fail"} if denied else {}), report.text
    if denied:
        assert right in report.finding(check)[1]
    else:
        assert "has 2 leases of 0 processes; we may update them" in report.finding("leases")[1]
    assert kinesis.leases(stream) == before


def test_a_stream_that_is_missing(healthy: dict[str, object], kinesis: Kinesis) -> None:
    """The stream and the region are named."""
    report = Report(run_doctor(**healthy | {"trades_log": kinesis.url("none")}))
    assert (report.code, report.problems()) == (2, {"kinesis": "fail"})
    assert "the stream none does not exist in us-east-1" in report.finding("kinesis")[1]
