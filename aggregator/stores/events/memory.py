"""`memory://`: events and positions in the memory of one process. They are gone when it ends."""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from aggregator.stores.events.definition import CreatedEventStores, EventStoreKind, EventStoreParts, check_events
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent

_URL = "memory://"
_MOST_EVENTS = 20_000  # of one asset and topic; then the oldest are dropped
_MOST_CLOSED = 20_000  # positions, of all assets; then those that were closed first are dropped

Key = tuple[float, str]
"""The time and the id of an event or of a closed position."""


class MemoryEvents:
    """`aggregator.trades.ports.EventStore` in memory. `retention` is in seconds. Raises StoreRefused for bad events."""

    name = "memory"

    def __init__(self, retention: float, now: Callable[[], float]) -> None:
        self._events: dict[tuple[str, str], dict[Key, StoredEvent]] = {}  # by topic and asset
        self._keys: dict[tuple[str, str], list[Key]] = {}  # those of a topic and asset, in order
        self._retention = retention
        self._now = now

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`. Of one asset, the newest 20,000 events are kept."""
        check_events(events)
        oldest = self._now() - self._retention
        for event in events:
            place = topic, event.asset
            known, keys = self._events.setdefault(place, {}), self._keys.setdefault(place, [])
            key = event.timestamp, event.id
            if key not in known:
                insort(keys, key)
            known[key] = event
            expired = max(bisect_left(keys, (oldest, "")), len(keys) - _MOST_EVENTS)
            for old in keys[:expired]:
                del known[old]
            del keys[:expired]

    async def events(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: Key | None = None,
    ) -> list[StoredEvent]:
        """As `EventReader.events`."""
        known, keys = self._events.get((topic, asset), {}), self._keys.get((topic, asset), [])
        first = bisect_left(keys, max(start, self._now() - self._retention), key=_time)
        last = bisect_right(keys, end, key=_time)
        if after is not None and newest_first:
            last = min(last, bisect_left(keys, after))
        elif after is not None:
            first = max(first, bisect_right(keys, after))
        page = keys[max(first, last - limit) : last][::-1] if newest_first else keys[first : min(last, first + limit)]
        return [known[key] for key in page]

    async def run(self) -> None:
        """Wait; `put` deletes old events."""
        await asyncio.Event().wait()

    async def ping(self) -> None:
        """Do nothing: memory can always be reached."""

    async def close(self) -> None:
        """Forget all events."""
        self._events.clear()
        self._keys.clear()


class MemoryPositions:
    """`aggregator.strategy.ports.PositionStore` in memory, with the last 20,000 closed ones. Raises no StoreError."""

    def __init__(self) -> None:
        self._open: dict[str, Position] = {}  # by asset
        self._closed: dict[str, Position] = {}  # by id, in the order of closing

    async def open(self, position: Position) -> bool:
        """As `PositionStore.open`."""
        if position.id in self._closed:
            return False
        return self._open.setdefault(position.asset, position).id == position.id

    async def close_position(self, position: Position) -> bool:
        """As `PositionStore.close_position`."""
        known = self._open.get(position.asset)
        if known is None or known.id != position.id:
            return False
        del self._open[position.asset]
        self._closed[position.id] = position
        if len(self._closed) > _MOST_CLOSED:
            del self._closed[next(iter(self._closed))]
        return True

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        return [self._open[asset] for asset in assets if asset in self._open]

    async def closed(self, asset: str | None, limit: int, after: Key | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        found = [one for one in self._closed.values() if asset is None or one.asset == asset]
        ordered = sorted(found, key=_exit_key, reverse=True)
        return [one for one in ordered if after is None or _exit_key(one) < after][:limit]


def _time(key: Key) -> float:
    return key[0]


def _exit_key(position: Position) -> Key:
    return position.exit_time or 0.0, position.id


def _check(url: str) -> None:
    if url != _URL:
        raise ValueError(f"must be {_URL}")


def _create(_: str, parts: EventStoreParts) -> CreatedEventStores:
    return CreatedEventStores(MemoryEvents(parts.retention, parts.now), MemoryPositions(), [])


MEMORY = EventStoreKind(example=_URL, form=_URL, check=_check, create=_create)
