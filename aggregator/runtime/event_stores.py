"""Opens the stores of events and positions that the settings name."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics
from aggregator.runtime.attempts import Attempt, attempt, run_steps
from aggregator.settings import Settings
from aggregator.stores.events.counted import CountedEvents, CountedPositions
from aggregator.stores.events.definition import CreatedEventStores, EventStoreParts
from aggregator.stores.events.registry import event_store

_MEMORY = "memory://"

_once: Attempt = attempt


async def open_events_and_positions(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
) -> CreatedEventStores:
    """Open the stores of events and positions; they are closed with the stack. Raises CannotGoOn.

    A process of role `api` only reads them. Where it cannot use the default file, which would not be the file of the
    process that writes events, it gets empty stores in memory.
    """
    parts = EventStoreParts(settings.events_retention, metrics, now, settings.postgres_password)
    if settings.role == "api" and "events_url" not in settings.model_fields_set:
        try:
            return await _opened(settings.events_url, parts, stack, _once)
        except CannotGoOn as error:
            structlog.get_logger().info("stored_events_not_read", error=str(error))
            return await _opened(_MEMORY, parts, stack, _once)
    return await _opened(settings.events_url, parts, stack, attempt)


async def _opened(url: str, parts: EventStoreParts, stack: AsyncExitStack, attempt: Attempt) -> CreatedEventStores:
    created = event_store(url).create(url, parts)
    stack.push_async_callback(created.events.close)
    await run_steps(created.open_steps, attempt)
    counts = parts.metrics.events
    return CreatedEventStores(
        CountedEvents(created.events, counts), CountedPositions(created.positions, counts), created.open_steps
    )
