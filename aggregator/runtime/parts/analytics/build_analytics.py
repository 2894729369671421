"""The analytics of a process that processes trades, and the store of their events."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from aggregator.anomalies.event import ANOMALIES, stored_anomaly
from aggregator.live.topics import Publisher, Topic
from aggregator.news.topic import SENTIMENT, stored_event
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.event_stores import open_events_and_positions
from aggregator.runtime.parts.analytics.build_anomalies import open_anomalies
from aggregator.runtime.parts.analytics.build_news import open_news
from aggregator.runtime.parts.analytics.build_strategy import open_strategy
from aggregator.runtime.parts.build_outlets import before_events
from aggregator.runtime.parts.unavailable import why_no_news
from aggregator.runtime.process import Process
from aggregator.strategy.ports import PositionStore
from aggregator.trades.analytic import Analytic
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import EventStore, StoredEvent

T = TypeVar("T")

_DRAIN_SECONDS = 2.0  # for the events that wait when the process stops


class EventStores(msgspec.Struct, frozen=True):
    """The opened stores of what analytics find."""

    events: EventStore
    positions: PositionStore


async def open_event_stores(process: Process, attempt: Attempt) -> EventStores:
    """Open the stores, and delete old events from now on; they are closed with the process. Raises CannotGoOn."""
    created = await open_events_and_positions(
        process.settings, process.metrics, process.stack, attempt, process.clock.now
    )
    await process.keep_running(created.events)
    events = created.events if process.archive is None else process.archive.events(created.events)
    return EventStores(before_events(process, events), created.positions)


async def open_analytics(process: Process, stores: EventStores, publisher: Publisher) -> list[Analytic]:
    """Return every analytic that the settings ask for. Call it before the processor is made."""
    found: list[Analytic] = []
    settings = process.settings
    if settings.finds_anomalies:
        anomalies = await run_writer(process, stores, publisher, ANOMALIES, stored_anomaly)
        found.append(await open_anomalies(process, stores.events, anomalies))
    if settings.strategy:
        found.append(await open_strategy(process, stores.positions, stores.events, publisher))
    if settings.news_targets and why_no_news(settings) is None:
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
