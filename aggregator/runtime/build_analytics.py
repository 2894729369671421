"""The analytics of a process that processes trades, and the store of their events."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from aggregator.live.topics import Publisher, Topic
from aggregator.news.topic import SENTIMENT, stored_event
from aggregator.runtime.build_news import open_news, why_off
from aggregator.runtime.process import Process
from aggregator.runtime.stores import Attempt
from aggregator.stores.events.memory import MemoryEvents, MemoryPositions
from aggregator.strategy.ports import PositionStore
from aggregator.trades.analytic import Analytic
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import EventStore, StoredEvent

T = TypeVar("T")

_RETENTION = 2_592_000.0  # seconds
_DRAIN_SECONDS = 2.0  # for the events that wait when the process stops


class EventStores(msgspec.Struct, frozen=True):
    """The opened stores of what analytics find."""

    events: EventStore
    positions: PositionStore


async def open_event_stores(process: Process, attempt: Attempt) -> EventStores:  # noqa: ARG001  # memory needs no attempt
    """Open the stores; they are closed with the process. Raises CannotGoOn."""
    return EventStores(MemoryEvents(_RETENTION, process.clock.now), MemoryPositions())


async def open_analytics(process: Process, stores: EventStores, publisher: Publisher) -> list[Analytic]:
    """Return every analytic that the settings ask for. Call it before the processor is made."""
    found: list[Analytic] = []
    settings = process.settings
    if settings.news_targets and why_off(settings) is None:
        sentiment = await run_writer(process, stores, publisher, SENTIMENT, stored_event)
        found.append(await open_news(process, stores.events, sentiment))
    return found


async def run_writer(
    process: Process, stores: EventStores, publisher: Publisher, topic: Topic[T], stored: Callable[[T], StoredEvent]
) -> EventWriter[T]:
    """Return a writer of a topic's events that runs from now on; a stop waits for those that have come."""
    writer = EventWriter(stores.events, publisher, topic, stored, process.metrics.events)
    await process.keep_running(writer)
    process.stack.push_async_callback(writer.drain, _DRAIN_SECONDS)
    return writer
