"""Writes what an analytic finds: into the store of events first, then to the listeners of its topic."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

from aggregator.errors import StoreError, StoreRefused
from aggregator.live.topics import Publisher, Topic
from aggregator.observability.metrics.events import EventMetrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.trades.ports import EventStore, StoredEvent

T = TypeVar("T")

MOST_WAITING = 10_000
_MOST_AT_ONCE = 500  # events in one write
_GATHER_SECONDS = 0.02  # events that come within this time are written together
_LONGEST_PAUSE = 2.0  # seconds between two attempts to store a batch


class EventWriter(Generic[T]):
    """Stores the values of one topic in batches, in their order, and publishes each batch once it is durable.

    `stored` makes the event to store of a value. Of values with the same key that wait together, the last is written.
    While the store is unavailable, the writer tries again; at most `most_waiting` values wait, then the oldest are
    dropped. A value that the store refuses for good is dropped. Dropped values are counted and never published.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: Publisher,
        topic: Topic[T],
        stored: Callable[[T], StoredEvent],
        metrics: EventMetrics,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._topic = topic
        self._stored = stored
        self._counted = metrics.stored.labels(topic.name)
        self._dropped = metrics.dropped.labels(topic.name)
        self._gauge = metrics.waiting.labels(topic.name)
        self._waiting: deque[T] = deque(maxlen=most_waiting)
        self._writing: Sequence[T] = ()  # taken from those that wait, and not stored yet
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._trouble = TroubleLog("events_not_stored", "events_stored_again", topic=topic.name)

    @property
    def waiting(self) -> int:
        """The number of values that are not stored yet."""
        return len(self._waiting) + len(self._writing)

    def put(self, values: Sequence[T]) -> None:
        """Add values to those that wait. Returns at once, never raises for a store that is away."""
        if not values:
            return
        before = len(self._waiting)
        self._waiting.extend(values)
        self._dropped.inc(before + len(values) - len(self._waiting))
        self._gauge.set(self.waiting)
        self._idle.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Store and publish what comes; never returns."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._arrived.clear()
            while self._waiting:
                await self._write()
            self._idle.set()

    async def drain(self, patience: float) -> None:
        """Wait at most `patience` seconds until all values are stored; what is left then is dropped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._idle.wait()
        if self.waiting:
            structlog.get_logger().error("events_dropped", topic=self._topic.name, count=self.waiting)
            self._dropped.inc(self.waiting)
            self._waiting.clear()
            self._writing = ()
            self._gauge.set(0)

    async def _write(self) -> None:
        """Store and publish the oldest values that wait."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
        self._writing = batch
        newest: dict[tuple[str, float, str], tuple[T, StoredEvent]] = {}
        for value in batch:
            event = self._stored(value)
            key = (event.asset, event.timestamp, event.id)
            newest.pop(key, None)  # the last value keeps its place
            newest[key] = value, event
        values, events = [value for value, _ in newest.values()], [event for _, event in newest.values()]
        try:
            await self._retried(events)
        except StoreRefused:
            for value, event in zip(values, events, strict=True):
                await self._write_single(value, event)
        else:
            self._publish(values)
        self._writing = ()
        self._gauge.set(self.waiting)

    async def _write_single(self, value: T, event: StoredEvent) -> None:
        """Store and publish one value of a batch that the store has refused, unless this is the one it refuses."""
        try:
            await self._retried([event])
        except StoreRefused as error:
            structlog.get_logger().error("event_refused", topic=self._topic.name, id=event.id, error=str(error))
            self._dropped.inc()
        else:
            self._publish([value])

    def _publish(self, values: Sequence[T]) -> None:
        self._publisher.publish(self._topic, values)
        self._counted.inc(len(values))

    async def _retried(self, events: Sequence[StoredEvent]) -> None:
        """Store events, however long the store is away. Raises StoreRefused where a retry cannot help."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                await self._store.put(self._topic.name, events)
            except StoreRefused:
                raise
            except StoreError as error:
                self._trouble.report(str(error))
                await backoff.pause()
            else:
                self._trouble.report("")
                return
