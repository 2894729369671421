"""An outlet in memory that records every arrival, and does what a test asks for instead of taking a batch."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import Form, parse_outlets
from aggregator.outlets.outbox.outbox import OpenOutlet, OutletOutbox
from aggregator.outlets.outbox.queue_file import QueueFile
from aggregator.outlets.ports import DELIVERED, Answer, KeyClaims, Outlet, OutletEvent
from tests.parts.limits import allowed

Behaviour = Callable[[Sequence[OutletEvent]], Sequence[Answer]]
LARGE = 1 << 30


class RecordingOutlet:
    """Takes every event, unless one of `next` says otherwise; each of these is for one batch."""

    def __init__(self, most_events: int = 10, lanes: int = 4, *, is_atomic: bool = False) -> None:
        self.most_events = most_events
        self.most_bytes = 1 << 18
        self.lanes = lanes
        self.is_atomic = is_atomic
        self.arrived: list[OutletEvent] = []
        self.batches: list[int] = []
        self.next: deque[Behaviour] = deque()
        self.hangs = False
        self.always: Behaviour | None = None

    async def open(self) -> None:
        """Do nothing."""

    async def send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        """Record the events that are taken."""
        while self.hangs:
            await asyncio.sleep(0.01)
        behaviour = self.next.popleft() if self.next else self.always
        answers = [DELIVERED] * len(events) if behaviour is None else behaviour(events)
        self.batches.append(len(events))
        self.arrived += [event for event, answer in zip(events, answers, strict=True) if answer is DELIVERED]
        return answers

    async def close(self) -> None:
        """Do nothing."""

    @property
    def keys(self) -> list[str]:
        """The keys of the events that arrived."""
        return [event.key for event in self.arrived]


class Scene:
    """A running outbox with recording outlets."""

    def __init__(self, outbox: OutletOutbox, file: QueueFile, metrics: Metrics) -> None:
        self.outbox = outbox
        self.file = file
        self.metrics = metrics

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running(
    path: Path,
    outlets: Mapping[str, Outlet],
    most_bytes: int = LARGE,
    held: Callable[[], bool] = lambda: True,
    claims: KeyClaims | None = None,
    file: QueueFile | None = None,
) -> AsyncIterator[Scene]:
    """Run an outbox, by default with a file at `path`.

    The keys of `outlets` are addresses of stdout://, whose outlets are replaced.
    """
    metrics = Metrics()
    file = QueueFile(path, most_bytes) if file is None else file
    addresses = parse_outlets(";".join(outlets), {"stdout": Form("stdout://")})
    opened = [OpenOutlet(address, one, held) for address, one in zip(addresses, outlets.values(), strict=True)]
    outbox = OutletOutbox(file, opened, metrics.outlets, claims=claims)
    await outbox.open()
    outbox.recovered()
    task = asyncio.create_task(outbox.run())
    try:
        yield Scene(outbox, file, metrics)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await outbox.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition. Raises AssertionError when it does not come."""
    deadline = time.monotonic() + allowed(seconds)
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come"
        await asyncio.sleep(0.02)


def event(number: int, asset: str = "btcusdt", topic: str = "prices", outlet: str = "") -> OutletEvent:
    """Return an event; its number is its time."""
    body = f'{{"asset":"{asset}","number":{number}}}'.encode()
    return OutletEvent(topic, asset, f"{topic} {asset} {number}", float(number), body, "hot", outlet)
