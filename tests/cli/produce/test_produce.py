"""`aggregator produce` on a Kafka broker."""

import os
import re
import sys
from collections import defaultdict
from contextlib import ExitStack
from signal import SIGINT
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from aggregator.cli.main import main
from aggregator.cli.produce.records import VENUE
from aggregator.models import Trade, trade_key
from aggregator.trades.ingest import Parser
from tests.parts import kafka
from tests.parts.examples import BTC
from tests.parts.kafka import Broker
from tests.parts.ports import free_port
from tests.parts.process import Process

pytestmark = pytest.mark.real
LATER = 1e11  # after any trade
_SUMMARY = re.compile(r"sent ([\d,]+) trades, delivered ([\d,]+), failed ([\d,]+)")


def produce(*options: object) -> int:
    """Run the command with a seed of 7; return its exit code."""
    return main(["produce", "--seed", "7", *map(str, options)])


def counts(text: str) -> tuple[int, ...]:
    """Return the trades sent, delivered and failed of a summary."""
    match = _SUMMARY.search(text)
    assert match is not None, text
    return tuple(int(one.replace(",", "")) for one in match.groups())


def trades_of(records: list[Any], form: str) -> list[Trade]:
    """Return the trades of records, all of which the service must accept."""
    parser = Parser(lambda symbol: msgspec.structs.replace(BTC, symbol=symbol))  # any asset is listed
    taken = [
        parser.protobuf(record.value(), "", LATER) if form == "protobuf" else parser.document(record.value(), LATER)
        for record in records
    ]
    assert [one.rejected for one in taken if one.rejected] == []
    return [one.trades[0] for one in taken]


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_all_trades_are_delivered(kafka_running: Broker, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Each once, keyed by its asset, all trades of an asset in one partition and in the order of their times."""
    topic = kafka_running.topic(6)
    options = ("--assets", 20, "--rate", 5_000, "--count", 2_000, "--format", form)
    assert produce("--log", kafka_running.url(topic), *options) == 0
    out = capsys.readouterr().out
    assert counts(out) == (2_000, 2_000, 0)
    assert re.search(r"^[\d,]+ a second of 5,000 asked \(\d+\.\d%\) in \d+\.\d s; seed 7$", out, re.MULTILINE)
    assert re.search(r"^from send to confirmation: p50 \d+\.\d ms, p99 \d+\.\d ms$", out, re.MULTILINE)
    records = kafka_running.records(topic, 2_000)
    trades = trades_of(records, form)
    assert len({trade_key(trade) for trade in trades}) == len(trades) == 2_000
    assert [record.key().decode() for record in records] == [trade.asset for trade in trades]
    partitions, times = defaultdict(set), defaultdict(list)
    for record, trade in zip(records, trades, strict=True):
        partitions[trade.asset].add(record.partition())
        times[trade.asset].append(trade.timestamp)
    assert len(partitions) == 20
    assert all(len(numbers) == 1 for numbers in partitions.values())
    assert len(set.union(*partitions.values())) > 1
    assert all(one == sorted(one) for one in times.values())


def test_the_url_names_the_format(kafka_running: Broker) -> None:
    """And the same seed makes the same trades again, but for their times."""
    found = []
    for _ in range(2):
        topic = kafka_running.topic()
        assert produce("--log", kafka_running.url(topic, format="protobuf"), "--rate", "max", "--count", 100) == 0
        trades = trades_of(kafka_running.records(topic, 100), "protobuf")
        found.append(sorted((trade.asset, trade.price, trade.volume) for trade in trades))
    assert found[0] == found[1]


def test_the_settings_name_the_topic(kafka_running: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --log. Trades in JSON name their venue, and their ids are unique."""
    topic = kafka_running.topic()
    monkeypatch.setenv("AGGREGATOR_TRADES_LOG", kafka_running.url(topic))
    assert produce("--count", 50) == 0
    trades = trades_of(kafka_running.records(topic, 50), "json")
    assert {trade.venue for trade in trades} == {VENUE}
    assert len({trade.id for trade in trades}) == 50


def held(broker: Broker, topic: str) -> int:
    """Return the number of records of a topic."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
    try:
        numbers = range(partitions_of(broker, topic))
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, one), timeout=30)[1] for one in numbers)
    finally:
        consumer.close()


def partitions_of(broker: Broker, topic: str) -> int:
    """Return the number of partitions of a topic."""
    return len(
        AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(topic, timeout=30).topics[topic].partitions
    )


def started(broker: Broker, topic: str, rate: int) -> Process:
    """Run the command without an end."""
    return Process.of_program("aggregator", "produce", "--log", broker.url(topic), "--rate", str(rate))


def test_an_interrupt_waits_for_the_reports(kafka_running: Broker) -> None:
    """Without a terminal there is a line of progress now and then. What was sent is delivered and counted."""
    topic = kafka_running.topic()
    process = started(kafka_running, topic, 500)
    process.wait_for_line(r"(?m)^[\d,]+ sent, [\d,]+ delivered, 0 failed, [\d,]+ a second$")
    assert process.stop(SIGINT) == 0, process.output
    assert "stopped; sent" in process.output
    sent, delivered, failed = counts(process.output)
    assert (sent, failed) == (delivered, 0)
    assert sent > 0
    assert held(kafka_running, topic) == sent


@pytest.mark.skipif("KAFKA_BOOTSTRAP" in os.environ, reason="a broker that others use must not be killed")
def test_a_broker_that_dies() -> None:
    """The trades that it did not confirm are counted by the reason, and the exit code is 1."""
    with ExitStack() as stack:
        broker = stack.enter_context(kafka.running())
        process = started(broker, broker.topic(), 500)
        process.wait_for_line(r" sent, ")
    process.wait_for_line(r" sent, .* a second; _\w+: ")  # the progress shows why nothing is confirmed
    assert process.stop(SIGINT) == 1, process.output
    sent, delivered, failed = counts(process.output)
    assert sent == delivered + failed
    assert failed > 0
    assert re.search(rf"(?m)^aggregator: {failed:,} trades were not delivered$", process.output)
    reasons = re.findall(r"(?m)^  ([\d,]+) failed: _PURGE_\w+: ", process.output)
    assert sum(int(one.replace(",", "")) for one in reasons) == failed


def test_no_broker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says which broker, and why it cannot be reached."""
    monkeypatch.setattr("aggregator.cli.produce.command._OPEN_SECONDS", 2.0)
    address = f"127.0.0.1:{free_port()}"
    assert produce("--log", f"kafka://{address}/trades", "--count", 1) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"aggregator: no broker of {address} answers: ")
    assert "Connection refused" in line


def test_a_topic_that_is_missing(kafka_running: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """It is created only when --partitions says so, with that many of them."""
    name = f"missing-{uuid4().hex[:12]}"
    url = kafka_running.url(name)
    assert produce("--log", url, "--count", 1) == 1
    assert f"the topic {name} does not exist; --partitions 6 creates it" in capsys.readouterr().err
    for _ in range(2):  # the second time it is there
        assert produce("--log", url, "--count", 1, "--partitions", 5) == 0
    assert held(kafka_running, name) == 2
    assert partitions_of(kafka_running, name) == 5


@pytest.mark.parametrize(
    ("options", "setting", "says"),
    [
        ({"security": "tls"}, {}, "SSL"),
        ({}, {"KAFKA_USERNAME": "me", "KAFKA_PASSWORD": "hush"}, "SASL"),
    ],
)
def test_a_connection_that_is_refused(
    kafka_running: Broker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    setting: dict[str, str],
    says: str,
) -> None:
    """The broker has neither TLS nor logins. The message says which of them failed, without the password."""
    monkeypatch.setattr("aggregator.cli.produce.command._OPEN_SECONDS", 2.0)
    for name, value in setting.items():
        monkeypatch.setenv(f"AGGREGATOR_{name}", value)
    assert produce("--log", kafka_running.url("trades", **options), "--count", 1) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{kafka_running.bootstrap} refuses the connection: " in line
    assert says in line
    assert "hush" not in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--log must be kafka://broker:9092/topic; name the topic"),
        (("--log", "redis://127.0.0.1/0"), "--log must be kafka://broker:9092/topic"),
        (("--log", "kafka://a:1/b?format=avro"), "format of kafka:// must be json or protobuf"),
        (("--log", "kafka://a:1/b", "--assets", 1001), "--assets 1001 is more than the 1000 of symbols.csv"),
    ],
)
def test_options_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], options: tuple[object, ...], says: str
) -> None:
    """Exit code 2, before anything is opened."""
    assert produce(*options) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--partitions", "1001"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--rate", "1000001"),
        ("--count", "0"),
        ("--seconds", "86401"),
    ],
)
def test_numbers_out_of_bounds(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    """The message names the option and what is allowed."""
    with pytest.raises(SystemExit) as ended:
        produce("--log", "kafka://a:1/b", option, value)
    assert ended.value.code == 2
    assert f"argument {option}: is not a" in capsys.readouterr().err


def test_without_the_library(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it."""
    for name in [name for name in sys.modules if name.startswith("aggregator.trades.event_log.kafka.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert produce("--log", "kafka://a:1/b", "--count", 1) == 2
    assert "confluent-kafka, which is not installed; in a clone: " in capsys.readouterr().err
