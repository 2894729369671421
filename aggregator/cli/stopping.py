"""Work of a command that a signal to stop ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aggregator.errors import CannotGoOn

T = TypeVar("T")


async def result_before_stop(work: Coroutine[Any, Any, T], stop: asyncio.Event, told: str) -> T:
    """Return the result of the work. Where `stop` is set first, cancel it, and raise CannotGoOn that says `told`."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise CannotGoOn(told)
    return working.result()
