"""Events through the outbox of outlets: to SQS against bare SendMessageBatch, to Kafka, beside an outlet that hangs.

    ./test.sh bench outlets

Rounds are interleaved; both have eight calls in flight and ten messages in a call. The queue is a server that answers
as SQS does and keeps nothing; moto, which is slow, gets fewer messages. All run on the same machine. The delay is from
`hand_over` to the outlet's answer, at 50 events a second.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
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
_LONGEST = 120.0  # seconds of a round
_STEP = 0.002


class Lengths(msgspec.Struct, frozen=True):
    """How long a run is: rounds, messages to the queue and to moto in each, records to Kafka, seconds of the delay."""

    rounds: int = 3
    messages: int = 10_000
    to_moto: int = 300
    records: int = 100_000
    seconds: float = 5


def run(lengths: Lengths = Lengths()) -> list[Figure]:  # noqa: B008  # it is frozen
    """Measure all parts."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    sink = Process([sys.executable, "-m", "tests.parts.sqs_sink"])
    endpoint = sink.wait_for_line(r"listening on (\S+)")[1]
    with tempfile.TemporaryDirectory() as folder, sqs.running() as queues, kafka.running() as broker:
        figures = uvloop.run(_measure(Path(folder), endpoint, queues, broker, lengths))
    sink.stop()
    return figures


async def _measure(folder: Path, sink: str, queues: Queues, broker: Broker, lengths: Lengths) -> list[Figure]:
    bare, ours, beside = list[float](), list[float](), list[float]()
    bare_moto, ours_moto = list[float](), list[float]()
    queue = f"sqs://queue?region=us-east-1&endpoint={sink}"
    for number in range(lengths.rounds):
        bare.append(await _bare(queue, lengths.messages))
        ours.append(await _through(folder / f"a{number}.db", [queue], lengths.messages))
        beside.append(await _through(folder / f"b{number}.db", [queue], lengths.messages, hanging=True))
        moto = [f"sqs://{queues.queue()}?region=us-east-1&endpoint={queues.target}" for _ in range(2)]
        bare_moto.append(await _bare(moto[0], lengths.to_moto))
        ours_moto.append(await _through(folder / f"c{number}.db", [moto[1]], lengths.to_moto))
    to_kafka = await _through(folder / "k.db", [f"kafka://{broker.bootstrap}/{broker.topic()}"], lengths.records)
    delays = await _delays(folder / "d.db", f"kafka://{broker.bootstrap}/{broker.topic()}", lengths.seconds)
    to_sqs = await _delays(folder / "e.db", queue, lengths.seconds)
    return [
        Figure("bare SendMessageBatch of 10, 8 in flight", statistics.median(bare), "events/s"),
        Figure("outbox -> SQS", statistics.median(ours), "events/s", ">= 2000"),
        Figure("  against bare SendMessageBatch", median_ratio(ours, bare), "", ">= 0.8"),
        Figure("  beside an outlet that hangs, against without", median_ratio(beside, ours), "", ">= 0.9"),
        Figure("bare SendMessageBatch to moto", statistics.median(bare_moto), "events/s"),
        Figure("  outbox against bare, to moto", median_ratio(ours_moto, bare_moto), "", ">= 0.8"),
        Figure("outbox -> Kafka", to_kafka, "events/s", ">= 20000"),
        Figure("event to delivered, unloaded, Kafka, p99", 1000 * percentile(delays, 0.99), "ms", "<= 200"),
        Figure("event to delivered, unloaded, SQS, p99", 1000 * percentile(to_sqs, 0.99), "ms", "<= 200"),
    ]


async def _bare(url: str, number: int) -> float:
    """Send as fast as the queue answers; return events/s."""
    outlet = make_outlet(outlets_of(url)[0], OutletParts(Metrics(CollectorRegistry()), time.time))
    await outlet.open()
    events = iter(_events(number))

    async def lane() -> None:
        while batch := [one for _, one in zip(range(outlet.most_events), events, strict=False)]:
            await outlet.send(batch)

    await outlet.send(_events(1))
    started = time.perf_counter()
    async with asyncio.timeout(_LONGEST), asyncio.TaskGroup() as group:
        for _ in range(outlet.lanes):
            group.create_task(lane())
    rate = number / (time.perf_counter() - started)
    await outlet.close()
    return rate


async def _through(path: Path, urls: Sequence[str], number: int, *, hanging: bool = False) -> float:
    """Hand events over 500 at a time and wait until all are delivered; return events/s."""
    metrics = Metrics(CollectorRegistry())
    outbox, task = await opened(path, urls, metrics, hanging=hanging)
    events = _events(number)
    started = time.perf_counter()
    for first in range(0, number, _APPENDED):
        await outbox.hand_over(events[first : first + _APPENDED])
    name = outbox.names[0]
    await _delivered(metrics, name, number)
    rate = number / (time.perf_counter() - started)
    await closed(outbox, task)
    return rate


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
    """Return events of about the size of a price."""
    now, rest = time.time(), "x" * 250
    return [
        OutletEvent(
            "prices",
            f"asset{one % _ASSETS}",
            f"prices asset{one % _ASSETS} {now} {one}",
            now,
            f'{{"asset":"asset{one % _ASSETS}","price":"{one}","text":"{rest}"}}'.encode(),
            "hot",
        )
        for one in range(number)
    ]
