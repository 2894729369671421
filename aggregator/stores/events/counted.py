"""Stores of events and positions that count their failures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aggregator.errors import StoreError
from aggregator.observability.metrics.events import EventMetrics
from aggregator.strategy.ports import Position, PositionStore
from aggregator.trades.ports import EventStore, StoredEvent


class _Failures:
    def __init__(self, metrics: EventMetrics) -> None:
        self._errors = metrics.store_errors

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a StoreError of the block by its reason."""
        try:
            yield
        except StoreError as error:
            self._errors.labels(error.reason).inc()
            raise


class CountedEvents(_Failures):
    """An EventStore whose failed calls are counted, all but those of `ping`."""

    def __init__(self, store: EventStore, metrics: EventMetrics) -> None:
        super().__init__(metrics)
        self._store = store

    @property
    def name(self) -> str:
        """As `EventStore.name`."""
        return self._store.name

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`."""
        with self.counted():
            await self._store.put(topic, events)

    async def events(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: tuple[float, str] | None = None,
    ) -> list[StoredEvent]:
        """As `EventReader.events`."""
        with self.counted():
            return await self._store.events(topic, asset, start, end, limit, newest_first=newest_first, after=after)

    async def run(self) -> None:
        """As `EventStore.run`."""
        await self._store.run()

    async def ping(self) -> None:
        """As `EventStore.ping`."""
        await self._store.ping()

    async def close(self) -> None:
        """As `EventStore.close`."""
        await self._store.close()


class CountedPositions(_Failures):
    """A PositionStore whose failed calls are counted."""

    def __init__(self, store: PositionStore, metrics: EventMetrics) -> None:
        super().__init__(metrics)
        self._store = store

    async def open(self, position: Position) -> bool:
        """As `PositionStore.open`."""
        with self.counted():
            return await self._store.open(position)

    async def close_position(self, position: Position) -> bool:
        """As `PositionStore.close_position`."""
        with self.counted():
            return await self._store.close_position(position)

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        with self.counted():
            return await self._store.open_positions(assets)

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        with self.counted():
            return await self._store.closed(asset, limit, after)
