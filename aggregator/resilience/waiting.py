"""Waits that senders need: until a file can be used again, and for an event with a bound of time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from aggregator.errors import StoreUnavailable
from aggregator.resilience.backoff import Backoff

T = TypeVar("T")


async def until_available(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `work`. Retries while it raises StoreUnavailable, for example on a full disk."""
    backoff = Backoff()
    while True:
        try:
            return await work()
        except StoreUnavailable:
            await backoff.pause()


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
