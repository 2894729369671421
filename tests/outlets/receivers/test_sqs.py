"""The outlet of SQS, on moto's server behind a proxy that records and fails."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from botocore.exceptions import CredentialRetrievalError

from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.ports import OutletAway, OutletEvent, Verdict
from aggregator.outlets.receivers import sqs_queue
from aggregator.outlets.receivers.sqs_queue import SqsQueue
from aggregator.outlets.registry import make_outlet, outlets_of
from tests.outlets.examined import findings_of
from tests.outlets.recording import event, running, until
from tests.parts import sqs
from tests.parts.sqs import Queues

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def queues() -> Iterator[Queues]:
    """Run moto and the proxy."""
    with sqs.running() as found:
        yield found


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set credentials: without any, Amazon's library asks for those of a machine of EC2, which takes seconds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


@asynccontextmanager
async def outlet(url: str) -> AsyncIterator[SqsQueue]:
    """Return the opened outlet of an address."""
    made = make_outlet(outlets_of(url)[0], OutletParts(Metrics(), float))
    assert isinstance(made, SqsQueue)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def test_a_client_that_could_not_be_made_at_the_start_is_made_later(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outlet is away meanwhile: a container's credentials may come a moment after its start."""

    async def refused(*_: object, **__: object) -> None:
        raise CredentialRetrievalError(provider="container-role", error_msg="no answer")

    queues.faults.set()
    made = make_outlet(outlets_of(queues.url(queues.queue()))[0], OutletParts(Metrics(), float))
    with monkeypatch.context() as patched:
        patched.setattr(sqs_queue, "new_client", refused)
        with pytest.raises(StoreUnavailable):
            await made.open()
        with pytest.raises(OutletAway, match="container-role"):
            await made.send([event(1)])
    assert [one.verdict for one in await made.send([event(1)])] == [Verdict.DELIVERED]
    await made.close()


@pytest.mark.parametrize("suffix", ["", ".fifo"])
async def test_a_message_has_everything(queues: Queues, suffix: str) -> None:
    """The body is the event; topic, key and asset are attributes; a FIFO queue gets its group and its deduplication."""
    queues.faults.set()
    name = queues.queue(suffix)
    events = [event(1, "btcusdt"), event(2, "ethusdt")]
    async with outlet(queues.url(name)) as queue:
        answers = await queue.send(events)
        assert [one.verdict for one in answers] == [Verdict.DELIVERED] * 2
    first = queues.arrivals[name][0]
    assert (first.topic, first.key, first.asset) == ("prices", events[0].key, "btcusdt")
    assert json.loads(first.body) == {"asset": "btcusdt", "number": 1}
    assert queues.number(name) == 2
    assert first.entry.get("MessageGroupId") == ("btcusdt" if suffix else None)
    if suffix:
        async with outlet(queues.url(name)) as queue:  # the answer of the first was lost
            await queue.send(events)
        assert queues.number(name) == 2


@pytest.mark.parametrize(
    ("fault", "is_unsure"), [("throttle", False), ("error", True), ("lost", True), ("garbage", True), ("cut", True)]
)
async def test_a_failed_call_is_an_outage(queues: Queues, fault: str, *, is_unsure: bool) -> None:
    """Where the queue may have taken the batch, that is said."""
    queues.faults.set()
    name = queues.queue()
    async with outlet(queues.url(name)) as queue:
        await queue.send([event(0)])
        queues.faults.set(fault)
        with pytest.raises(OutletAway) as error:
            await queue.send([event(1)])
        assert error.value.is_unsure is is_unsure
    queues.faults.set()


async def test_each_message_has_its_own_answer(queues: Queues) -> None:
    """Of a batch, some are taken, some refused, some to be sent again."""
    name = queues.queue()
    events = [event(number, f"asset{number}") for number in range(4)]
    large = OutletEvent("prices", "large", "large", 1.0, b'"' + b"x" * 300_000 + b'"')
    async with outlet(queues.url(name)) as queue:
        for fault, verdict in (("partial", Verdict.RETRY), ("refuse", Verdict.REFUSED)):
            queues.faults.set(fault)
            answers = await queue.send(events)
            assert [one.verdict for one in answers] == [Verdict.DELIVERED, verdict] * 2
        queues.faults.set()
        answers = await queue.send([events[0], large, events[1]])
        assert [one.verdict for one in answers] == [Verdict.DELIVERED, Verdict.REFUSED, Verdict.DELIVERED]


async def test_a_missing_queue_is_an_outage(queues: Queues) -> None:
    """It may be made later."""
    async with outlet(queues.url("not-there")) as queue:
        with pytest.raises(OutletAway, match="SQS"):
            await queue.send([event(1)])


@pytest.mark.parametrize("fault", ["throttle", "partial"])
async def test_nothing_is_lost_and_the_order_of_an_asset_holds(queues: Queues, fault: str, tmp_path: Path) -> None:
    """While every second call fails."""
    queues.faults.set()
    name = queues.queue()
    events = [event(number, f"asset{number % 5}") for number in range(20)]
    async with outlet(queues.url(name)) as queue, running(tmp_path / "o.db", {"stdout://": queue}) as scene:
        queues.faults.set(fault, every=2)
        await scene.outbox.hand_over(events)
        await until(lambda: len(queues.arrivals[name]) >= len(events), 20)
        await until(lambda: scene.value("outlet_events_delivered_total", outlet="stdout") == len(events))
    queues.faults.set()
    assert sorted(queues.keys(name)) == sorted(one.key for one in events)
    for asset in range(5):
        keys = [one.key for one in queues.arrivals[name] if one.asset == f"asset{asset}"]
        assert keys == [one.key for one in events if one.asset == f"asset{asset}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sqs://", "the queue of sqs://"),
        ("sqs://a/b", "the queue of sqs://"),
        ("sqs://key:hunter2@queue", "takes no credentials"),
        ("sqs://queue?region=hunter2", "region of sqs://"),
        ("sqs://queue?endpoint=ftp://hunter2", "endpoint of sqs://"),
        ("sqs://queue?endpoint=http://host:99999", "endpoint of sqs://"),
        ("sqs://queue?account=1", "account of sqs://"),
    ],
)
def test_an_address_that_cannot_work(text: str, message: str) -> None:
    """The message names the option, and shows no part of the address."""
    with pytest.raises(ValueError, match=message) as error:
        outlets_of(text)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(("exists", "level"), [(True, "ok"), (False, "fail")])
async def test_the_doctor_asks_for_the_queue(queues: Queues, exists: bool, level: str) -> None:  # noqa: FBT001  # a parameter of pytest
    """It sends no message."""
    queues.faults.set()
    name = queues.queue() if exists else "no-such-queue"
    (found,) = await findings_of(queues.url(name))
    assert found.level == level
    assert ("has 0 messages" if exists else "sqs:GetQueueUrl") in f"{found.says} {found.mend}"
