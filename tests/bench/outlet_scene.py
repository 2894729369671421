"""An outbox of outlets that runs, for benches."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import Form, parse_outlets
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.outbox.outbox import OpenOutlet, OutletOutbox
from aggregator.outlets.outbox.queue_file import QueueFile
from aggregator.outlets.ports import Answer, Outlet, OutletEvent
from aggregator.outlets.registry import make_outlet, outlets_of

_LARGE = 1 << 30


class _Hanging:
    """An outlet that never answers."""

    most_events, most_bytes, lanes, is_atomic = 10, 1 << 18, 8, False

    async def open(self) -> None:
        """Do nothing."""

    async def send(self, _: Sequence[OutletEvent]) -> Sequence[Answer]:
        """Never return."""
        await asyncio.Event().wait()
        return ()

    async def close(self) -> None:
        """Do nothing."""


async def opened(
    path: Path, urls: Sequence[str], metrics: Metrics, *, hanging: bool = False
) -> tuple[OutletOutbox, asyncio.Task[None]]:
    """Return a running outbox of these outlets, with one beside them that never answers if `hanging`; and its task."""
    addresses = [address for url in urls for address in outlets_of(url)]
    outlets: list[OpenOutlet] = []
    for address in addresses:
        outlet = make_outlet(address, OutletParts(metrics, time.time, allow_private=True))
        await outlet.open()
        outlets.append(OpenOutlet(address, outlet, lambda: True))
    if hanging:
        stuck: Outlet = _Hanging()
        outlets.append(OpenOutlet(parse_outlets("stdout://", {"stdout": Form("stdout://")})[0], stuck, lambda: True))
    outbox = OutletOutbox(QueueFile(path, _LARGE), outlets, metrics.outlets)
    await outbox.open()
    outbox.recovered()
    return outbox, asyncio.create_task(outbox.run())


async def closed(outbox: OutletOutbox, task: asyncio.Task[None]) -> None:
    """Stop the outbox."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await outbox.close()
