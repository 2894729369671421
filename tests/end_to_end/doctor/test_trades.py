"""`aggregator doctor` on the trade stream: its store, and the topic, rights and group of a Kafka log."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aioboto3
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from aggregator.cli.doctor.checks import Level
from aggregator.cli.doctor.trades import judged
from aggregator.observability.metrics import Metrics
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.trades.event_log.kafka.address import parse_kafka_url
from aggregator.trades.event_log.kafka.admin import GroupState, TopicState
from tests.end_to_end.doctor.report import LOCAL, Report, run_doctor
from tests.parts.dynamodb import DynamoServer
from tests.parts.kafka import Broker
from tests.parts.ports import free_port

pytestmark = pytest.mark.real

SOON = 10  # seconds for each check; the one that no broker answers takes most of them


# The store


def test_a_folder_that_is_missing(healthy: dict[str, object], tmp_path: Path) -> None:
    """The file of the trades cannot be made there; the setting is named."""
    report = Report(run_doctor(**healthy | {"trades_url": f"sqlite:///{tmp_path}/none/trades.db"}))
    assert (report.code, report.problems()) == (2, {"trades": "fail"})
    assert "AGGREGATOR_TRADES_URL" in report.finding("trades")[1]


def test_a_file_of_trades_stays_as_it_is(healthy: dict[str, object], tmp_path: Path) -> None:
    """A missing file is not made, and one of something else is not changed."""
    assert Report(run_doctor(**healthy)).finding("trades")[0] == "ok"
    file = tmp_path / "trades.db"
    assert not file.exists()
    file.write_text("no database")
    assert Report(run_doctor(**healthy)).finding("trades")[0] == "fail"
    assert file.read_text() == "no database"


@pytest.fixture
async def on_trade_table(
    healthy: dict[str, object], dynamodb_running: DynamoServer, tmp_path: Path
) -> AsyncIterator[dict[str, object]]:
    """Return settings without a fault, with the trades in a table that the service has made."""
    name = f"doctor-trades-{uuid.uuid4()}"
    metrics = Metrics(CollectorRegistry())
    made = TradeTable(name, "us-east-1", dynamodb_running.endpoint, metrics, 3600, lambda: 0.0)
    await made.open()
    own = {"trades_url": dynamodb_running.url(name), "trades_outbox_path": tmp_path / "trades-outbox.db"}
    yield healthy | own | {"outbox_max_bytes": 1 << 20}
    await made.close()


async def test_a_table_of_trades(on_trade_table: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """It and its outbox can be used, and no item is left in it."""
    report = Report(run_doctor(**on_trade_table))
    assert report.problems() == {}, report.text
    assert "it deletes trades after 2 days" in report.finding("trades")[1]
    assert report.finding("trades outbox")[1].endswith("0 trades wait in it; ")
    table = str(on_trade_table["trades_url"]).partition("://")[2].partition("?")[0]
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        assert (await dynamodb.scan(TableName=table))["Items"] == []


def test_a_table_of_trades_that_is_missing(on_trade_table: dict[str, object], dynamodb_running: DynamoServer) -> None:
    """A warning, as the service creates it."""
    missing = dynamodb_running.url(f"none-{uuid.uuid4()}")
    report = Report(run_doctor(**on_trade_table | {"trades_url": missing}))
    assert (report.code, report.problems()) == (1, {"trades": "warn"})
    assert "dynamodb:CreateTable" in report.finding("trades")[1]


def test_a_table_of_prices_is_none_of_trades(on_trade_table: dict[str, object], table: str) -> None:
    """It has other keys, so the setting must name another table."""
    url = str(on_trade_table["trades_url"])
    prices = url.replace(url.partition("://")[2].partition("?")[0], table)
    report = Report(run_doctor(**on_trade_table | {"trades_url": prices}))
    assert report.problems() == {"trades": "fail"}
    assert "name another table (AGGREGATOR_TRADES_URL)" in report.finding("trades")[1]


# Kafka


def test_a_topic(healthy: dict[str, object], kafka_running: Broker) -> None:
    """Its partitions, and how far the group is behind; a partition without a commit counts from its first record."""
    topic = kafka_running.topic(4)
    kafka_running.produce(topic, [("btcusdt", b"{}")] * 30)  # one key, so all are in one partition
    log = {"trades_log": kafka_running.url(topic, group=topic)}
    report = Report(run_doctor(**healthy | log))
    assert report.problems() == {}, report.text
    found = report.finding("kafka")[1]
    assert f"topic {topic} on {kafka_running.bootstrap} has 4 partitions; " in found
    assert f"group {topic} has 0 members and is 30 records behind" in found
    commit(kafka_running, topic, 12)
    assert f"group {topic} has 0 members and is 18 records behind" in Report(run_doctor(**healthy | log)).text


def commit(broker: Broker, topic: str, offset: int) -> None:
    """Commit an offset of the partition that has the records, for the group with the name of the topic."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic})
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, one), timeout=30)[1] for one in range(4)]
    consumer.commit(offsets=[TopicPartition(topic, ends.index(max(ends)), offset)], asynchronous=False)
    consumer.close()


def test_a_topic_that_is_missing(healthy: dict[str, object], kafka_running: Broker) -> None:
    """The doctor does not create it, whatever the brokers would do."""
    name = f"none-{uuid.uuid4().hex}"
    for _ in range(2):
        report = Report(run_doctor(**healthy | {"trades_log": kafka_running.url(name)}))
        assert (report.code, report.problems()) == (2, {"kafka": "fail"})
        assert f"the topic {name} does not exist" in report.finding("kafka")[1]
    assert name not in AdminClient({"bootstrap.servers": kafka_running.bootstrap}).list_topics(timeout=30).topics


@pytest.mark.parametrize(
    ("options", "settings", "says", "mend"),
    [
        pytest.param({"security": "tls"}, {}, "SSL", "check security=", marks=pytest.mark.long),
        ({}, {"kafka_username": "me", "kafka_password": "hush"}, "SASL", "check AGGREGATOR_KAFKA_USERNAME"),
    ],
)
def test_a_connection_that_is_refused(
    healthy: dict[str, object],
    kafka_running: Broker,
    options: dict[str, str],
    settings: dict[str, object],
    says: str,
    mend: str,
) -> None:
    """The broker has neither TLS nor logins. The finding says what failed, without the password."""
    log = {"trades_log": kafka_running.url("trades", **options)}
    report = Report(run_doctor(**healthy | log | settings, seconds=SOON))
    assert report.problems() == {"kafka": "fail"}
    assert says in report.finding("kafka")[1]
    assert mend in report.finding("kafka")[1]
    assert "hush" not in report.text


def test_no_broker(healthy: dict[str, object]) -> None:
    """A broker that does not answer is a failure with its address and the reason."""
    address = f"127.0.0.1:{free_port()}"
    report = Report(run_doctor(**healthy | {"trades_log": f"kafka://{address}/trades"}, seconds=SOON))
    assert report.problems() == {"kafka": "fail"}
    found = report.finding("kafka")[1]
    assert found.startswith(f"no broker of {address} answers: ")
    assert "Connection refused" in found


ADDRESS = parse_kafka_url("kafka://broker:9092/trades")
BOTH = frozenset({"READ", "WRITE", "DESCRIBE"})


@pytest.mark.parametrize(
    ("topic", "group", "level", "says"),
    [
        (
            TopicState(6, BOTH),
            GroupState(2, 1_234, BOTH),
            Level.OK,
            "2 members and is 1,234 records behind; we may do all",
        ),
        (
            TopicState(6, frozenset({"ALL"})),
            GroupState(1, 0, frozenset({"ALL"})),
            Level.OK,
            "1 member and is 0 records",
        ),
        (TopicState(1, None), GroupState(0, 0, None), Level.OK, "has 1 partition; group"),
        (TopicState(1, None), GroupState(0, 0, None), Level.OK, "do not tell our rights"),
        (TopicState(6, frozenset({"WRITE"})), None, Level.OK, "has 6 partitions; we may do all"),
        (
            TopicState(6, frozenset({"READ"})),
            GroupState(0, 0, BOTH),
            Level.FAIL,
            "not let us WRITE the topic trades; add",
        ),
        (
            TopicState(6, frozenset({"DESCRIBE"})),
            GroupState(0, 0, frozenset({"DESCRIBE"})),
            Level.FAIL,
            "READ the topic trades; WRITE the topic trades; READ the group aggregator; add ACLs",
        ),
        (TopicState(0, frozenset()), None, Level.FAIL, "not let us WRITE the topic trades"),
        (TopicState(0), None, Level.FAIL, "the topic trades does not exist on broker:9092; create it"),
    ],
)
def test_the_judgement(topic: TopicState, group: GroupState | None, level: Level, says: str) -> None:
    """Of what the brokers tell; a role that reads nothing has no group."""
    (found,) = judged(ADDRESS, topic, group)
    assert found.level is level
    assert says in f"{found.says}; {found.mend}"
