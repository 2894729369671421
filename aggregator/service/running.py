"""A process from its first moment to its exit code."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from aggregator.errors import CannotGoOn

Run = Callable[[asyncio.Event], Awaitable[None]]

log = structlog.get_logger()


def run(work: Run) -> int:
    """Run `work` with an event that SIGTERM or SIGINT sets; return 0 when told to stop, 1 for what went wrong."""
    try:
        uvloop.run(_until_signalled(work))
    except CannotGoOn as error:
        return complain(1, str(error))
    except Exception:
        log.exception("crashed")
        return 1
    return 0


def complain(code: int, *lines: str) -> int:
    """Say on stderr what is wrong; return the exit code."""
    for line in lines:
        sys.stderr.write(f"aggregator: {line}\n")
    return code


async def _until_signalled(work: Run) -> None:
    """Run; the first signal sets the event, the second ends the process on the spot."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def stop_now(number: signal.Signals) -> None:
        if stop.is_set():
            loop.remove_signal_handler(number)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_now, number)
    await work(stop)
