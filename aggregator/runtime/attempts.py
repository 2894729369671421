"""Attempts to open a store: once, or until it is there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog

from aggregator.errors import CannotGoOn, StoreError, StoreUnavailable
from aggregator.settings import PREFIX
from aggregator.stores.definition import OpenStep

_RETRY_SECONDS = 0.25  # between attempts to open a store that is away

Step = Callable[[], Awaitable[None]]
Attempt = Callable[[Step, str, str], Awaitable[None]]
"""Runs a step that opens something; takes the step, the setting and a remedy. Raises CannotGoOn naming both."""


async def attempt(step: Step, setting: str, mend: str) -> None:
    """`Attempt` that runs the step once."""
    try:
        await step()
    except StoreError as error:
        raise CannotGoOn(str(error), f"{mend} ({setting})") from error


def patient(stop: asyncio.Event) -> Attempt:
    """Return an `Attempt` that waits for a store that is away, until `stop` is set.

    For a process whose parent has just opened the same store. The store may go away between the two, which must not end
    all processes of the group.
    """

    async def wait_for(step: Step, setting: str, mend: str) -> None:
        is_logged = False
        while True:
            try:
                await step()
            except StoreUnavailable as error:
                if stop.is_set():
                    raise CannotGoOn(str(error), f"{mend} ({setting})") from error
                if not is_logged:
                    structlog.get_logger().warning("store_awaited", error=str(error), setting=setting)
                    is_logged = True
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _RETRY_SECONDS)
            except StoreError as error:
                raise CannotGoOn(str(error), f"{mend} ({setting})") from error
            else:
                return

    return wait_for


async def run_steps(steps: Iterable[OpenStep], attempt: Attempt) -> None:
    """Open a store step by step. Raises CannotGoOn."""
    for step in steps:
        await attempt(step.run, f"{PREFIX}{step.setting.upper()}", step.remedy)
