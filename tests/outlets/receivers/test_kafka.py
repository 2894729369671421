"""The outlet of Kafka, on the broker of the suite."""

import json
from pathlib import Path

import pytest

from aggregator.observability.metrics import Metrics
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.ports import OutletEvent, Verdict
from aggregator.outlets.registry import make_outlet, outlets_of
from tests.outlets.examined import findings_of
from tests.outlets.recording import event, running, until
from tests.parts.kafka import Broker

pytestmark = pytest.mark.real


async def test_events_arrive_keyed_by_asset_and_in_their_order(kafka_running: Broker, tmp_path: Path) -> None:
    """A record has the event as its value, the asset as its key, topic and key as headers."""
    topic = kafka_running.topic(3)
    outlet = make_outlet(outlets_of(f"kafka://{kafka_running.bootstrap}/{topic}")[0], OutletParts(Metrics(), float))
    await outlet.open()
    events = [event(number, f"asset{number % 7}") for number in range(2000)]
    async with running(tmp_path / "o.db", {"stdout://": outlet}) as scene:
        for first in range(0, len(events), 500):
            await scene.outbox.hand_over(events[first : first + 500])
        await until(lambda: scene.value("outlet_events_delivered_total", outlet="stdout") == len(events), 20)
        large = OutletEvent("prices", "a", "a", 1.0, b'"' + b"x" * 1_000_000 + b'"')
        answers = await outlet.send([large, event(5000, "z")])
        assert [one.verdict for one in answers] == [Verdict.REFUSED, Verdict.DELIVERED]
    found = kafka_running.records(topic, len(events) + 1)
    assert len(found) == len(events) + 1
    headers = [dict(one.headers()) for one in found]
    assert {one["key"].decode() for one in headers} == {one.key for one in (*events, event(5000, "z"))}
    assert {one["topic"] for one in headers} == {b"prices"}
    for asset in range(7):
        numbers = [json.loads(one.value())["number"] for one in found if one.key() == f"asset{asset}".encode()]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka://broker/topic", "each broker of kafka:// must be host:port"),
        ("kafka://user:hunter2@broker:9092/topic", "takes no user and password"),
        ("kafka://broker:9092", "must be kafka://broker:9092/topic"),
        ("kafka://broker:9092/topic?security=hunter2", "security of kafka:// must be plaintext or tls"),
        ("kafka://broker:9092/topic?group=hunter2", "not 'group'"),
    ],
)
def test_an_address_that_cannot_work(text: str, message: str) -> None:
    """The message names the option, and shows no part of the address."""
    with pytest.raises(ValueError, match=message) as error:
        outlets_of(text)
    assert "hunter2" not in str(error.value)


async def test_the_doctor_asks_for_the_topic(kafka_running: Broker) -> None:
    """Only WRITE is needed, and no record is written."""
    topic = kafka_running.topic(2)
    (found,) = await findings_of(f"kafka://{kafka_running.bootstrap}/{topic}?name=events")
    assert (found.check, found.level) == ("outlet events", "ok")
    assert f"topic {topic} on" in found.says
    (missing,) = await findings_of(f"kafka://{kafka_running.bootstrap}/no-such-topic")
    assert missing.level == "fail"
    assert "AGGREGATOR_OUTLETS" in missing.mend
