"""The PostgreSQL tables of events and positions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf

import structlog
from pydantic import SecretStr

from aggregator.errors import StoreError
from aggregator.stores.events.definition import check_events
from aggregator.stores.events.position_bodies import position_body, position_in
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.database import PostgresDatabase
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent

_WRITERS = 2
_SWEEP_SECONDS = 600.0
_MOST_EXPIRED = 2000  # events deleted in one transaction
_MOST_BATCHES = 5000  # of one sweep; the next sweep goes on

_PUT = """
INSERT INTO events (topic, asset, unix_time, id, body)
SELECT $1, asset, unix_time, id, body::json
FROM unnest($2::text[], $3::double precision[], $4::text[], $5::text[]) AS sent (asset, unix_time, id, body)
ON CONFLICT (topic, asset, unix_time, id) DO UPDATE SET body = excluded.body
"""
_PAGE = """
SELECT asset, unix_time, id, body::text FROM events
WHERE topic = $1 AND asset = $2 AND unix_time BETWEEN $3 AND $4 AND (unix_time, id) {0} ($5, $6)
ORDER BY unix_time {1}, id {1} LIMIT $7
"""
_EXPIRE = """
DELETE FROM events WHERE unix_time < $1 AND ctid = ANY (ARRAY(
    SELECT ctid FROM events WHERE unix_time < $1 ORDER BY unix_time LIMIT $2
))
"""
_OPEN = (
    "INSERT INTO positions (id, asset, exit_time, body) VALUES ($1, $2, NULL, $3::text::json) ON CONFLICT DO NOTHING"
)
_IS_OPEN = "SELECT count(*) FROM positions WHERE id = $1 AND asset = $2 AND exit_time IS NULL"
_CLOSE = """
UPDATE positions SET exit_time = $1, body = $2::text::json WHERE id = $3 AND asset = $4 AND exit_time IS NULL
"""
_OPEN_ONES = """
SELECT body::text FROM unnest($1::text[]) WITH ORDINALITY AS asked (asset, number) JOIN positions USING (asset)
WHERE exit_time IS NULL ORDER BY number
"""
_CLOSED = """
SELECT body::text FROM positions WHERE exit_time IS NOT NULL AND (exit_time, id) < ($1, $2) {}
ORDER BY exit_time DESC, id DESC LIMIT $3
"""


class PostgresEvents(PostgresDatabase):
    """`aggregator.trades.ports.EventStore` in a PostgreSQL database. `retention` is in seconds, by an event's time.

    Raises StoreUnavailable, or StoreRefused where a retry cannot help.
    """

    name = "postgresql"

    def __init__(
        self, address: PostgresAddress, password: SecretStr, retention: float, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(address, password, _WRITERS)
        self._retention = retention
        self._now = now

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`, in one statement."""
        check_events(events)
        unique = {(one.asset, one.timestamp, one.id): one for one in events}
        rows = [unique[key] for key in sorted(unique)]  # so that two writers do not lock each other out
        if rows:
            columns = [one.asset for one in rows], [one.timestamp for one in rows], [one.id for one in rows]
            await self.writes.execute(_PUT, topic, *columns, [one.body.decode() for one in rows])

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
        since = max(start, self._now() - self._retention)
        rows = await self.reads.fetch(query, topic, asset, since, end, *beyond, limit)
        return [StoredEvent(of, timestamp, one, body.encode()) for of, timestamp, one, body in rows]

    async def run(self) -> None:
        """Delete old events now and every ten minutes; never returns."""
        log, is_failing = structlog.get_logger(), False
        while True:
            try:
                await self.expire()
                is_failing = False
            except StoreError as error:
                if not is_failing:
                    log.warning("events_not_tidied", error=str(error))
                is_failing = True
            await asyncio.sleep(_SWEEP_SECONDS)

    async def expire(self) -> None:
        """Delete events that are older than the retention, some thousands in one transaction."""
        before = self._now() - self._retention
        for _ in range(_MOST_BATCHES):
            if await self.writes.execute(_EXPIRE, before, _MOST_EXPIRED) < _MOST_EXPIRED:
                return


class PostgresPositions:
    """`aggregator.strategy.ports.PositionStore` in the same database, over the connections of PostgresEvents."""

    def __init__(self, events: PostgresEvents) -> None:
        self._reads, self._writes = events.reads, events.writes

    async def open(self, position: Position) -> bool:
        """As `PositionStore.open`: a unique index has one open position of an asset."""
        async with self._writes.one() as connection, connection.transaction():
            await connection.execute(_OPEN, position.id, position.asset, position_body(position))
            return bool(await connection.fetchval(_IS_OPEN, position.id, position.asset))

    async def close_position(self, position: Position) -> bool:
        """As `PositionStore.close_position`."""
        values = (position.exit_time or 0.0, position_body(position), position.id, position.asset)
        return await self._writes.execute(_CLOSE, *values) == 1

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        return [position_in(row[0]) for row in await self._reads.fetch(_OPEN_ONES, list(assets))]

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        of_asset = () if asset is None else (asset,)
        query = _CLOSED.format("AND asset = $4" if of_asset else "")
        rows = await self._reads.fetch(query, *(after or (inf, "")), limit, *of_asset)
        return [position_in(row[0]) for row in rows]
