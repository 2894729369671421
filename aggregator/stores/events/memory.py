"""`memory://`: events and positions in the memory of one process."""

import asyncio
from collections.abc import Callable, Sequence

from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent


class MemoryEvents:
    """`aggregator.trades.ports.EventStore` in memory. `retention` is in seconds. Nothing here raises StoreError."""

    name = "memory"

    def __init__(self, retention: float, now: Callable[[], float]) -> None:
        self._events: dict[tuple[str, str], dict[tuple[float, str], StoredEvent]] = {}  # by topic and asset
        self._retention = retention
        self._now = now

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`."""
        oldest = self._now() - self._retention
        for event in events:
            known = self._events.setdefault((topic, event.asset), {})
            known[event.timestamp, event.id] = event
            for key in [key for key in known if key[0] < oldest]:
                del known[key]

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
        start = max(start, self._now() - self._retention)
        found = []
        for key, event in sorted(self._events.get((topic, asset), {}).items(), reverse=newest_first):
            is_later = after is None or (key < after if newest_first else key > after)
            if start <= event.timestamp <= end and is_later:
                found.append(event)
        return found[:limit]

    async def run(self) -> None:
        """Wait; `put` deletes old events."""
        await asyncio.Event().wait()

    async def ping(self) -> None:
        """Do nothing: memory can always be reached."""

    async def close(self) -> None:
        """Forget all events."""
        self._events.clear()


class MemoryPositions:
    """`aggregator.strategy.ports.PositionStore` in memory. Nothing here raises StoreError."""

    def __init__(self) -> None:
        self._open: dict[str, Position] = {}  # by asset
        self._closed: dict[str, Position] = {}  # by id

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
        return True

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        return [self._open[asset] for asset in assets if asset in self._open]

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        found = [one for one in self._closed.values() if asset is None or one.asset == asset]
        ordered = sorted(found, key=_exit_key, reverse=True)
        return [one for one in ordered if after is None or _exit_key(one) < after][:limit]


def _exit_key(position: Position) -> tuple[float, str]:
    return position.exit_time or 0.0, position.id
