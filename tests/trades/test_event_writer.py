"""The writer of analytics' events: stored first, then published, bounded while the store is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.live.topics import Bus, Topic
from aggregator.models import encode
from aggregator.observability.metrics.events import EventMetrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import StoredEvent
from tests.parts.limits import allowed

NOW = 1_700_000_000.0


class Found(msgspec.Struct, frozen=True):
    """What an analytic of this test finds."""

    asset: str
    timestamp: float
    id: str
    score: int = 0


def asset_of(found: Found) -> str:
    """Return the asset."""
    return found.asset


def stored(found: Found) -> StoredEvent:
    """Return the event to store."""
    return StoredEvent(found.asset, found.timestamp, found.id, encode(found))


FOUND = Topic("finds", "find", Found, asset=asset_of)


class FailingEvents(MemoryEvents):
    """Memory that is unavailable while `is_away`, and refuses events whose id is in `refused`."""

    def __init__(self) -> None:
        super().__init__(3600, lambda: NOW)
        self.is_away = False
        self.refused: set[str] = set()
        self.attempts = 0
        self.kept: list[StoredEvent] = []

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """Fail, or store."""
        self.attempts += 1
        if self.is_away:
            raise StoreUnavailable("away")
        if any(event.id in self.refused for event in events):
            raise StoreRefused("no")
        await super().put(topic, events)
        self.kept += events


class Stored:
    """A listener that checks, for each published value, that the store had it before."""

    def __init__(self, store: FailingEvents) -> None:
        self._store = store
        self.values: list[Found] = []
        self.early: list[Found] = []

    def receive(self, values: Sequence[Found]) -> None:
        """Keep the values, and those that are not stored."""
        self.values += values
        self.early += [one for one in values if stored(one) not in self._store.kept]

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""


class Writing:
    """A writer on a store that fails when told to, and what it published."""

    def __init__(self, most_waiting: int = 100) -> None:
        self.store = FailingEvents()
        self.registry = CollectorRegistry()
        bus = Bus([FOUND])
        self.listener = Stored(self.store)
        bus.listen(FOUND, self.listener)
        self.writer = EventWriter(self.store, bus, FOUND, stored, EventMetrics(self.registry), most_waiting)

    def count(self, name: str) -> float:
        """Return a counter of the topic."""
        return self.registry.get_sample_value(f"analytics_events_{name}", {"topic": FOUND.name}) or 0

    @property
    def published(self) -> list[str]:
        """The ids that were published."""
        return [one.id for one in self.listener.values]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(allowed(5)):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(writing: Writing) -> AsyncIterator[None]:
    """Run the writer for the block."""
    task = asyncio.create_task(writing.writer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def finds(*ids: int) -> list[Found]:
    """Return a value of each id."""
    return [Found("btcusdt", NOW + one, str(one)) for one in ids]


async def test_values_are_stored_before_they_are_published() -> None:
    """In their order, more of them than one write takes."""
    one = Writing(most_waiting=2000)
    async with running(one):
        one.writer.put(finds(*range(1200)))
        await one.writer.drain(allowed(5))
    assert one.published == [str(number) for number in range(1200)]
    assert not one.listener.early
    assert one.store.attempts == 3
    assert one.count("stored_total") == 1200


async def test_nothing_is_published_while_the_store_is_away() -> None:
    """Each value is published once the store is back, once."""
    one = Writing()
    one.store.is_away = True
    async with running(one):
        one.writer.put(finds(1))
        await one.until(lambda: one.store.attempts >= 2)
        one.writer.put(finds(2))
        assert one.published == []
        assert one.writer.waiting == 2
        one.store.is_away = False
        await one.writer.drain(allowed(5))
    assert one.published == ["1", "2"]
    assert one.registry.get_sample_value("analytics_store_errors_total", {"reason": "unavailable"}) == (
        one.store.attempts - 2
    )


async def test_the_oldest_are_dropped_when_too_many_wait() -> None:
    """They are counted, and never published."""
    one = Writing(most_waiting=3)
    one.writer.put(finds(1, 2))
    one.writer.put(finds(3, 4, 5))
    assert one.count("dropped_total") == 2
    assert one.count("waiting") == 3
    async with running(one):
        await one.writer.drain(allowed(5))
    assert one.published == ["3", "4", "5"]
    assert one.count("waiting") == 0


async def test_a_refused_value_does_not_hold_up_the_others() -> None:
    """It is dropped and counted; the rest of its batch is stored and published."""
    one = Writing()
    one.store.refused = {"2"}
    async with running(one):
        one.writer.put(finds(1, 2, 3))
        await one.writer.drain(allowed(5))
    assert one.published == ["1", "3"]
    assert (one.count("stored_total"), one.count("dropped_total")) == (2, 1)


async def test_the_last_value_of_a_key_is_written() -> None:
    """An earlier one that waits with it is neither stored nor published."""
    one = Writing()
    first, second = Found("btcusdt", NOW, "a", 1), Found("btcusdt", NOW, "a", 2)
    async with running(one):
        one.writer.put([first, *finds(1), second])
        await one.writer.drain(allowed(5))
    assert one.listener.values == [*finds(1), second]
    assert one.store.kept == [stored(finds(1)[0]), stored(second)]


async def test_a_stop_does_not_wait_for_a_store_that_is_away() -> None:
    """What is left after the patience of the drain is counted as dropped."""
    one = Writing()
    one.store.is_away = True
    async with running(one):
        one.writer.put(finds(1, 2))
        await one.until(lambda: one.store.attempts >= 1)
        await one.writer.drain(0.01)
    assert one.count("dropped_total") == 2
    assert one.writer.waiting == 0
