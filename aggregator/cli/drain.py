"""`aggregator drain`: send the prices that wait in the outbox, then end.

For a machine that is taken away: run it once its service has stopped.
"""

import argparse
import asyncio
from contextlib import AsyncExitStack

import structlog

from aggregator.cli.command import Command, Flags, seconds_up_to, start
from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics
from aggregator.ports import History
from aggregator.runtime.lifecycle import run
from aggregator.runtime.stores import open_history
from aggregator.settings import Settings

_DAY = 86_400  # seconds


async def drain(settings: Settings, patience: float, stop: asyncio.Event) -> None:
    """Send waiting prices for at most `patience` seconds, or until `stop`. Raises CannotGoOn when some are left."""
    async with AsyncExitStack() as stack:
        history = await open_history(settings, Metrics(), stack)
        left = await _send(history, patience, stop)
    if left != 0:
        prices = "an unknown number of prices" if left is None else f"{left} prices"
        raise CannotGoOn(f"left in {settings.outbox_path}: {prices}", "run it again once DynamoDB takes them")
    structlog.get_logger().info("drained", outbox=str(settings.outbox_path))


async def _send(history: History, patience: float, stop: asyncio.Event) -> int | None:
    """Let the history send its backlog; return how many prices are left, None where that is unknown."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        draining = group.create_task(history.drain(patience))
        stopped = group.create_task(stop.wait())
        await asyncio.wait((draining, stopped), return_when=asyncio.FIRST_COMPLETED)
        left = draining.result() if draining.done() else await history.drain(0)
        for task in (running, draining, stopped):
            task.cancel()
    return left


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patience", type=seconds_up_to(_DAY), default=60.0, help="seconds after which it gives up; default 60"
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    return run(lambda stop: drain(settings, options.patience, stop))


COMMAND = Command(
    "send the prices that wait in the outbox; exit code 1 when some are left",
    _run,
    ["history_url", "outbox_path"],
    _add_options,
)
