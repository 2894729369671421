"""Archivers that share one PostgreSQL: from when each needs trades to be kept, so that none deletes those of another.

A row says from when its archiver needs trades, at most as late as trades are deleted anyway. So only a trade that is
older than the retention, such as one that is replayed, has to lower it before it is stored. Lowering takes an advisory
lock that every batch of a deletion shares: what is stored after it is never deleted by an earlier minimum.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import structlog

from aggregator.errors import StoreError
from aggregator.stores.postgres.connections import Connections

KEPT_FROM = "(SELECT min(keep_from) FROM archivers)"
"""The SQL of the time from which an archiver needs trades; null without archivers."""

_LOCK = 0x61726368  # key of the advisory lock: "arch"
_PUT = """
INSERT INTO archivers (archiver, keep_from) VALUES ($1, $2)
ON CONFLICT (archiver) DO UPDATE SET keep_from = excluded.keep_from, seen_at = now()
"""
_LONGEST = """
SELECT archiver, keep_from FROM archivers WHERE archiver <> $1 AND keep_from < $2 ORDER BY keep_from LIMIT 1
"""
_TARDY_SECONDS = 3600.0  # of another archiver, beyond the retention, without a word in the log


@asynccontextmanager
async def deleting(connections: Connections) -> AsyncIterator[Any]:
    """Lend a connection in a transaction during which no archiver lowers its time. Raises StoreError."""
    async with connections.one() as connection, connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
        yield connection


class ArchiverRow:
    """The row of this process's archiver; nothing is written with an empty `name`.

    `keep_from` is the start of its oldest mark in unix seconds, `expiry` the time before which trades are deleted.
    """

    def __init__(
        self, connections: Connections, name: str, keep_from: Callable[[], float], expiry: Callable[[], float]
    ) -> None:
        self._connections = connections
        self._name = name
        self._keep_from = keep_from
        self._expiry = expiry
        self._published = inf  # no trade of before it may be stored
        self._lock = asyncio.Lock()
        self._warned = ""

    async def publish(self) -> None:
        """Write from when trades are needed now. Raises StoreError."""
        if self._name:
            async with self._lock:
                await self._publish()

    async def lower_for(self, oldest: float) -> None:
        """Lower the time for marked trades that are about to be stored, the first of them at `oldest`, if needed."""
        if self._name and oldest < self._published:
            async with self._lock:
                if oldest < self._published:
                    await self._publish()

    async def _publish(self) -> None:
        kept = max(0.0, min(self._keep_from(), self._expiry()))
        self._published = inf  # until it is known to be written, a store of trades waits for the lock
        async with self._connections.one() as connection, connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.execute(_PUT, self._name, kept)
        self._published = kept

    async def warn(self) -> None:
        """Log which other archiver holds trades that this one would delete, once for each. Raises StoreError."""
        tardy = max(0.0, self._expiry() - _TARDY_SECONDS)
        rows = await self._connections.fetch(_LONGEST, self._name, tardy)
        found = str(rows[0][0]) if rows else ""
        if found and found != self._warned:
            structlog.get_logger().warning("trades_kept_for_archiver", archiver=found, since=rows[0][1])
        self._warned = found

    async def withdraw(self) -> None:
        """Remove the row at a stop, if nothing is marked; else it stays until the next start, and keeps the trades."""
        if self._name and self._keep_from() == inf:
            try:
                await self._connections.execute("DELETE FROM archivers WHERE archiver = $1", self._name)
            except StoreError as error:
                structlog.get_logger().warning("archiver_not_withdrawn", error=str(error))
