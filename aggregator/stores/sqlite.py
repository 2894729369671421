"""`sqlite:///prices.db`: history in one local file. SQLite runs in threads of its own; the event loop never waits."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Price, decode_price, encode

T = TypeVar("T")

# The whole price is kept as its JSON: one mapping, exact Decimals, and SQL can still look inside with json_extract.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS prices (
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (asset, timestamp)
)
"""
_UPSERT = """
INSERT INTO prices (asset, timestamp, body) VALUES (?, ?, ?)
ON CONFLICT (asset, timestamp) DO UPDATE SET body = excluded.body
"""
_LATEST = "SELECT body FROM prices WHERE asset = ? ORDER BY timestamp DESC LIMIT 1"
_BETWEEN = "SELECT body FROM prices WHERE asset = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp {} LIMIT ?"
_BUSY_SECONDS = 2.0


class SqliteHistory:
    """`aggregator.ports.History` in a SQLite file in WAL mode; a batch is one transaction.

    Survives a kill -9 (WAL, synchronous=NORMAL); a power cut may take the last moments, but never half a batch.
    Raises StoreUnavailable when the file cannot be read or written now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = _Worker(path, "sqlite-write")
        self._reader = _Worker(path, "sqlite-read")

    async def open(self) -> None:
        """Create file and table where missing. Raises StoreRefused when the path cannot hold a database."""
        try:
            await self._writer.run(_create)
        except StoreUnavailable as error:
            raise StoreRefused(f"cannot keep history in {self._path}: {error}") from error

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep all of `prices`, or none; the same key again replaces what was there."""
        rows = [(price.asset, price.timestamp, encode(price).decode()) for price in prices]
        await self._writer.run(lambda connection: _upsert(connection, rows))

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol that has one."""
        found = await self._reader.run(
            lambda connection: [connection.execute(_LATEST, (symbol,)).fetchone() for symbol in symbols]
        )
        prices = [decode_price(row[0]) for row in found if row is not None]
        return {price.asset: price for price in prices}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return at most `limit` prices of `start` <= timestamp <= `end`, in order of time."""
        query = _BETWEEN.format("DESC" if newest_first else "ASC")
        rows = await self._reader.run(
            lambda connection: connection.execute(query, (symbol, start, end, limit)).fetchall()
        )
        return [decode_price(row[0]) for row in rows]

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file could be written to."""
        await self._writer.run(_lock_and_let_go)

    async def close(self) -> None:
        """Finish the write under way and close the file."""
        await self._reader.close()
        await self._writer.close()


class _Worker:
    """One thread with one connection, opened on first use: SQLite blocks, and its connections like to stay put."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the thread. Raises StoreUnavailable for whatever SQLite raises."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._connected()))
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(_SCHEMA)


def _upsert(connection: sqlite3.Connection, rows: list[tuple[str, float, str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_UPSERT, rows)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.rollback()
        raise


def _lock_and_let_go(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
