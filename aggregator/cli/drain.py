"""`aggregator drain`: send what waits in the outbox, and end; for a machine that goes, once its service has stopped."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics
from aggregator.ports import History
from aggregator.runtime.stores import open_history
from aggregator.settings import Settings


async def drain(settings: Settings, patience: float, stop: asyncio.Event) -> None:
    """Give what waits at most `patience` seconds, or until `stop`. Raises CannotGoOn when something is left."""
    async with AsyncExitStack() as stack:
        history = await open_history(settings, Metrics(), stack)
        left = await _sent(history, patience, stop)
    if left != 0:
        much = "what, cannot be told" if left is None else f"{left} prices"
        raise CannotGoOn(f"left in {settings.outbox_path}: {much}; run it again once DynamoDB takes them")
    structlog.get_logger().info("drained", outbox=str(settings.outbox_path))


async def _sent(history: History, patience: float, stop: asyncio.Event) -> int | None:
    """Let the history send, and return how many prices it could not."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        draining = group.create_task(history.drain(patience))
        stopped = group.create_task(stop.wait())
        await asyncio.wait((draining, stopped), return_when=asyncio.FIRST_COMPLETED)
        left = draining.result() if draining.done() else await history.drain(0)
        for task in (running, draining, stopped):
            task.cancel()
    return left
