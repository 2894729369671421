"""The time limit of a call to a store."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aggregator.api.routing.responses import RETRY_SOON, Refusal, refuse
from aggregator.errors import StoreError

T = TypeVar("T")


async def in_time(call: Awaitable[T], seconds: float, refusal: Refusal) -> T:
    """Return the answer of a store. Raises the response 503, with `refusal`, if it fails or takes over `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except (StoreError, TimeoutError) as error:
        raise refuse(503, refusal, RETRY_SOON) from error
