"""Events through the outbox of outlets: to SQS against bare SendMessageBatch, to Kafka, beside an outlet that hangs.

    ./test.sh bench outlets

Rounds are interleaved; all have eight calls in flight and ten messages in a call. Bare are calls of aioboto3 as its
documentation has them; the adapter without the outbox is measured as well, as it encodes messages itself. The queue is
a server that answers as SQS does and keeps nothing; moto, which is slow, gets fewer messages. All run on the same
machine, so the ratios of CPU time say more than those of rates. The delay is from `hand_over` to the outlet's answer,
at 50 events a second.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import aioboto3
import msgspec
import uvloop
from botocore.config import Config
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.ports import OutletEvent
from aggregator.outlets.registry import make_outlet, outlets_of
from tests.bench.outlet_scene import closed, opened
from tests.bench.report import Figure, median_ratio
from tests.bench.trade_scene import percentile
from tests.parts import kafka, sqs
from tests.parts.kafka import Broker
from tests.parts.process import Process
from tests.parts.sqs import Queues

_APPENDED = 500  # events in one hand-over
_ASSETS = 1000
_UNLOADED = 50  # events/s
_LONGEST = 600.0  # seconds of a round
_LANES, _BATCH = 8, 10  # calls in flight, messages of a call
_STEP = 0.002


Send = Callable[[Sequence[OutletEvent]], Awaitable[object]]


class Round(NamedTuple):
    """Events/s, and seconds of CPU of an event, without those of the receiver."""

    rate: float
    cpu: float


class Lengths(msgspec.Struct, frozen=True):
    """How long a run is: rounds, messages to the queue and to moto in each, records to Kafka, seconds of the delay."""

    rounds: int = 3
    messages: int = 10_000
    to_moto: int = 300
    records: int = 100_000
    seconds: float = 5


QUICK = Lengths(rounds=1, messages=1000, to_moto=100, records=10_000, seconds=2)


def run(lengths: Lengths = Lengths()) -> list[Figure]:  # noqa: B008  # it is frozen
    """Measure all parts."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    sink = Process([sys.executable, "-m", "tests.bench.sqs_sink"])
    endpoint = sink.wait_for_line(r"listening on (\S+)")[1]
    with tempfile.TemporaryDirectory() as folder, sqs.running() as queues, kafka.running() as broker:
        figures = uvloop.run(_measure(Path(folder), endpoint, queues, broker, lengths))
    sink.stop()
    return figures


async def _measure(folder: Path, sink: str, queues: Queues, broker: Broker, lengths: Lengths) -> list[Figure]:
    bare, calls, ours, beside = (list[Round]() for _ in range(4))
    bare_moto, ours_moto = list[Round](), list[Round]()
    queue = f"sqs://queue?region=us-east-1&endpoint={sink}"
    for number in range(lengths.rounds):
        bare.append(await _bare(sink, "queue", lengths.messages))
        calls.append(await _calls(queue, lengths.messages))
        ours.append(await _through(folder / f"a{number}.db", [queue], lengths.messages))
        beside.append(await _through(folder / f"b{number}.db", [queue], lengths.messages, hanging=True))
        bare_moto.append(await _bare(queues.target, queues.queue(), lengths.to_moto))
        moto = f"sqs://{queues.queue()}?region=us-east-1&endpoint={queues.target}"
        ours_moto.append(await _through(folder / f"c{number}.db", [moto], lengths.to_moto))
    to_kafka = await _through(folder / "k.db", [f"kafka://{broker.bootstrap}/{broker.topic()}"], lengths.records)
    delays = await _delays(folder / "d.db", f"kafka://{broker.bootstrap}/{broker.topic()}", lengths.seconds)
    to_sqs = await _delays(folder / "e.db", queue, lengths.seconds)
    return [
        Figure("bare SendMessageBatch of 10, 8 in flight", _rate(bare), "events/s"),
        Figure("outbox -> SQS", _rate(ours), "events/s", ">= 2000"),
        Figure("  against bare SendMessageBatch", _ratio(ours, bare), "", ">= 0.8"),
        Figure("  against the same calls without the outbox", _ratio(ours, calls)),
        Figure("  beside an outlet that hangs, against without", _ratio(beside, ours), "", ">= 0.9"),
        Figure("  CPU of an event, bare", 1e6 * statistics.median(one.cpu for one in bare), "us"),
        Figure("  CPU of an event, calls without the outbox", 1e6 * statistics.median(one.cpu for one in calls), "us"),
        Figure("  CPU of an event, through the outbox", 1e6 * statistics.median(one.cpu for one in ours), "us"),
        Figure("bare SendMessageBatch to moto", _rate(bare_moto), "events/s"),
        Figure("  outbox against bare, to moto", _ratio(ours_moto, bare_moto), "", ">= 0.8"),
        Figure("outbox -> Kafka", to_kafka.rate, "events/s", ">= 20000"),
        Figure("  CPU of an event", 1e6 * to_kafka.cpu, "us"),
        Figure("event to delivered, unloaded, Kafka, p99", 1000 * percentile(delays, 0.99), "ms", "<= 200"),
        Figure("event to delivered, unloaded, SQS, p99", 1000 * percentile(to_sqs, 0.99), "ms", "<= 200"),
    ]


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(one.rate for one in rounds)


def _ratio(ours: Sequence[Round], theirs: Sequence[Round]) -> float:
    return median_ratio([one.rate for one in ours], [one.rate for one in theirs])


async def _bare(endpoint: str, queue: str, number: int) -> Round:
    """Send with aioboto3 alone."""
    session = aioboto3.Session()
    config = Config(max_pool_connections=2 * _LANES)
    async with session.client("sqs", region_name="us-east-1", endpoint_url=endpoint, config=config) as client:
        url = (await client.get_queue_url(QueueName=queue))["QueueUrl"]

        async def send(batch: Sequence[OutletEvent]) -> None:
            await client.send_message_batch(QueueUrl=url, Entries=[_entry(*one) for one in enumerate(batch)])

        await send(_events(1))
        return await _sent(send, number, _LANES, _BATCH)


def _entry(number: int, event: OutletEvent) -> dict[str, object]:
    attributes = {"topic": event.topic, "key": event.key, "asset": event.asset}
    return {
        "Id": str(number),
        "MessageBody": event.body.decode(),
        "MessageAttributes": {name: {"DataType": "String", "StringValue": one} for name, one in attributes.items()},
    }


async def _calls(url: str, number: int) -> Round:
    """Send with the adapter, without the outbox."""
    outlet = make_outlet(outlets_of(url)[0], OutletParts(Metrics(CollectorRegistry()), time.time))
    await outlet.open()
    await outlet.send(_events(1))
    found = await _sent(outlet.send, number, outlet.lanes, outlet.most_events)
    await outlet.close()
    return found


async def _sent(
    send: Callable[[Sequence[OutletEvent]], Awaitable[object]], number: int, lanes: int, most: int
) -> Round:
    """Send as fast as the queue answers."""
    events = iter(_events(number))

    async def lane() -> None:
        while batch := [one for _, one in zip(range(most), events, strict=False)]:
            await send(batch)

    started, cpu = time.perf_counter(), time.process_time()
    async with asyncio.timeout(_LONGEST), asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())
    return Round(number / (time.perf_counter() - started), (time.process_time() - cpu) / number)


async def _through(path: Path, urls: Sequence[str], number: int, *, hanging: bool = False) -> Round:
    """Hand events over 500 at a time and wait until all are delivered."""
    metrics = Metrics(CollectorRegistry())
    outbox, task = await opened(path, urls, metrics, hanging=hanging)
    await outbox.hand_over(_events(1))
    await _delivered(metrics, outbox.names[0], 1)  # the connection is there then, as it is for the bare calls
    events = _events(number)
    started, cpu = time.perf_counter(), time.process_time()
    for first in range(0, number, _APPENDED):
        await outbox.hand_over(events[first : first + _APPENDED])
    await _delivered(metrics, outbox.names[0], 1 + number)
    found = Round(number / (time.perf_counter() - started), (time.process_time() - cpu) / number)
    await closed(outbox, task)
    return found


async def _delays(path: Path, url: str, seconds: float) -> list[float]:
    """Hand one event over at a time; return the seconds until each was delivered."""
    metrics = Metrics(CollectorRegistry())
    outbox, task = await opened(path, [url], metrics)
    delays = list[float]()
    for number, event in enumerate(_events(int(_UNLOADED * seconds)), start=1):
        started = time.perf_counter()
        await outbox.hand_over([event])
        await _delivered(metrics, outbox.names[0], number)
        delays.append(time.perf_counter() - started)
        await asyncio.sleep(max(0.0, 1 / _UNLOADED - delays[-1]))
    await closed(outbox, task)
    return delays


async def _delivered(metrics: Metrics, name: str, number: int) -> None:
    counter = metrics.outlets.delivered.labels(name)
    async with asyncio.timeout(_LONGEST):
        while counter._value.get() != number:  # a read of the registry would cost more than the outbox
            await asyncio.sleep(_STEP)


def _events(number: int) -> list[OutletEvent]:
    """Return events of about the size of a price, with the times that they have at 20,000 a second."""
    now, rest = time.time(), "x" * 250
    return [
        OutletEvent(
            "prices",
            f"asset{one % _ASSETS}",
            f"prices asset{one % _ASSETS} {now} {one}",
            now + one / 20_000,
            f'{{"asset":"asset{one % _ASSETS}","price":"{one}","text":"{rest}"}}'.encode(),
            "hot",
        )
        for one in range(number)
    ]
