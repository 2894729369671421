"""`sqlite:///events.db`: events and positions in a local SQLite file, which processes on one machine may share."""

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import structlog

from aggregator.errors import StoreError
from aggregator.stores.database import Connection, Database
from aggregator.stores.definition import FILE_REMEDY, OpenStep
from aggregator.stores.events.definition import CreatedEventStores, EventStoreKind, EventStoreParts, check_events
from aggregator.stores.events.position_bodies import position_body, position_in
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent

_SCHEMA = """
CREATE TABLE events (
    topic TEXT NOT NULL,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (topic, asset, timestamp, id)
) WITHOUT ROWID;
CREATE INDEX events_by_age ON events (timestamp);
CREATE TABLE positions (
    id TEXT NOT NULL PRIMARY KEY,
    asset TEXT NOT NULL,
    exit_time REAL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX open_positions ON positions (asset) WHERE exit_time IS NULL;
CREATE INDEX closed_positions ON positions (exit_time, id) WHERE exit_time IS NOT NULL;
CREATE INDEX closed_positions_by_asset ON positions (asset, exit_time, id) WHERE exit_time IS NOT NULL
"""
_VERSION = 1
_PUT = "INSERT OR REPLACE INTO events (topic, asset, timestamp, id, body) VALUES (?, ?, ?, ?, ?)"
_PAGE = """
SELECT timestamp, id, body FROM events
WHERE topic = ? AND asset = ? AND timestamp BETWEEN ? AND ? AND (timestamp, id) {0} (?, ?)
ORDER BY timestamp {1}, id {1} LIMIT ?
"""
_EXPIRE = """
DELETE FROM events WHERE (topic, asset, timestamp, id) IN
(SELECT topic, asset, timestamp, id FROM events WHERE timestamp < ? ORDER BY timestamp LIMIT ?)
"""
_OPEN = "INSERT INTO positions (id, asset, exit_time, body) VALUES (?, ?, NULL, ?) ON CONFLICT DO NOTHING"
_IS_OPEN = "SELECT count(*) FROM positions WHERE id = ? AND asset = ? AND exit_time IS NULL"
_CLOSE = "UPDATE positions SET exit_time = ?, body = ? WHERE id = ? AND asset = ? AND exit_time IS NULL"
_OPEN_ONE = "SELECT body FROM positions WHERE asset = ? AND exit_time IS NULL"
_CLOSED = """
SELECT body FROM positions WHERE exit_time IS NOT NULL AND (exit_time, id) < (?, ?) {}
ORDER BY exit_time DESC, id DESC LIMIT ?
"""
_TICK_SECONDS = 1.0
_SWEEP_TICKS = 600
_MOST_EXPIRED = 2000  # events deleted in one transaction, for which writes have to wait


class SqliteEvents:
    """`aggregator.trades.ports.EventStore` in a SQLite file. `retention` is in seconds, by the time of an event."""

    name = "sqlite"

    def __init__(self, path: Path, retention: float, now: Callable[[], float] = time.time) -> None:
        self.file = Database(path, _SCHEMA, _VERSION)
        self._retention = retention
        self._now = now

    async def open(self) -> None:
        """Create file and tables where missing. Raises StoreRefused and StoreUnavailable."""
        await self.file.open()

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`, in one transaction."""
        check_events(events)
        rows = [(topic, one.asset, one.timestamp, one.id, one.body.decode()) for one in events]
        if rows:
            await self.file.write(lambda connection: _put(connection, rows))

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
        query = _PAGE.format("<", "DESC") if newest_first else _PAGE.format(">", "ASC")
        beyond = after or ((inf, "") if newest_first else (-inf, ""))
        values = (topic, asset, max(start, self._now() - self._retention), end, *beyond, limit)
        rows = await self.file.read(lambda connection: connection.execute(query, values).fetchall())
        return [StoredEvent(asset, timestamp, one, body.encode()) for timestamp, one, body in rows]

    async def run(self) -> None:
        """Checkpoint the file every second, and delete old events every ten minutes; never returns."""
        log, is_failing, ticks = structlog.get_logger(), False, 0
        while True:
            try:
                if ticks % _SWEEP_TICKS == 0:
                    await self.expire()
                await self.file.checkpoint()
            except StoreError as error:
                if not is_failing:
                    log.warning("events_not_tidied", error=str(error))
                is_failing = True
            else:
                is_failing = False
            ticks += 1
            await asyncio.sleep(_TICK_SECONDS)

    async def expire(self) -> None:
        """Delete events that are older than the retention, some thousands in one transaction."""
        limit = self._now() - self._retention, _MOST_EXPIRED
        gone = _MOST_EXPIRED
        while gone == _MOST_EXPIRED:
            gone = await self.file.write(lambda connection: connection.execute(_EXPIRE, limit).rowcount)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self.file.ping()

    async def close(self) -> None:
        """Wait for the write under way and close the file, also for positions."""
        await self.file.close()


class SqlitePositions:
    """`aggregator.strategy.ports.PositionStore` in the same file, which SqliteEvents opens and closes."""

    def __init__(self, file: Database) -> None:
        self._file = file

    async def open(self, position: Position) -> bool:
        """As `PositionStore.open`: a unique index has one open position of an asset."""
        body = position_body(position)
        return await self._file.write(lambda connection: _open(connection, position, body))

    async def close_position(self, position: Position) -> bool:
        """As `PositionStore.close_position`."""
        values = (position.exit_time or 0.0, position_body(position), position.id, position.asset)
        return await self._file.write(lambda connection: connection.execute(_CLOSE, values).rowcount == 1)

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        queries = [(_OPEN_ONE, (asset,)) for asset in assets]
        return await self._file.read(lambda connection: [one for each in queries for one in _read(connection, *each)])

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        of_asset: tuple[str, ...] = () if asset is None else (asset,)
        query = _CLOSED.format("AND asset = ?" if of_asset else "")
        values = (*(after or (inf, "")), *of_asset, limit)
        return await self._file.read(lambda connection: _read(connection, query, values))


def _put(connection: Connection, rows: Sequence[tuple[str, str, float, str, str]]) -> None:
    connection.executemany(_PUT, rows)


def _open(connection: Connection, position: Position, body: str) -> bool:
    connection.execute(_OPEN, (position.id, position.asset, body))
    count: int = connection.execute(_IS_OPEN, (position.id, position.asset)).fetchone()[0]
    return count == 1


def _read(connection: Connection, query: str, values: tuple[object, ...]) -> list[Position]:
    """Return positions. Raises StoreRefused for a row that is none."""
    return [position_in(body) for (body,) in connection.execute(query, values).fetchall()]


def _create(url: str, parts: EventStoreParts) -> CreatedEventStores:
    events = SqliteEvents(parse_sqlite_url(url), parts.retention, parts.now)
    return CreatedEventStores(events, SqlitePositions(events.file), [OpenStep(events.open, FILE_REMEDY, "events_url")])


SQLITE = EventStoreKind(
    example="sqlite:///events.db",
    form="sqlite:///events.db (relative path; //// for an absolute one)",
    check=parse_sqlite_url,
    create=_create,
)
