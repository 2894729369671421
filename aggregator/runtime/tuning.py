"""A process from its first moment to its exit code."""

import asyncio
import gc
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
    """Run; SIGTERM or SIGINT sets the event, and Ctrl-C once more ends the process on the spot.

    SIGTERM does not insist: who stops a whole group of processes sends it to each, and their parent sends its own.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        if stop.is_set():
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would show a traceback
            signal.raise_signal(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    await work(stop)


def settle_memory() -> None:
    """Look for garbage less often, and not among what lives as long as the process: requests leave no cycles behind.

    Worth 8 % of the requests a second, and the pauses that a look through everything takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
