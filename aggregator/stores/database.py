"""A local SQLite file in WAL mode, for the stores that keep one. The only user of sqlite3.

One thread writes and another reads, so neither the event loop nor a reader waits for a writer. A write is one
transaction; it survives a kill -9, and after a power cut the file is whole but may lack the last moments.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aggregator.errors import StoreRefused, StoreUnavailable

T = TypeVar("T")

Connection = sqlite3.Connection

_BUSY_SECONDS = 0.5
_RETRY_SECONDS = 0.01
_JOURNAL_BYTES = 16 << 20  # a WAL that grew larger is cut back to this


class Database:
    """The file at `path` with `schema`, whose version is `version`. Raises StoreUnavailable for what SQLite raises."""

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._writer = _Worker(path, "sqlite-write")
        self._reader = _Worker(path, "sqlite-read")
        self._checkpointer = _Worker(path, "sqlite-checkpoint")

    async def open(self) -> None:
        """Create file and tables where missing. Raises StoreRefused when the file cannot be used.

        And StoreUnavailable while somebody else has locked it.
        """
        try:
            found = await self._writer.run(lambda connection: _prepare(connection, self._schema, self._version))
        except StoreUnavailable as error:
            kind = StoreUnavailable if _is_busy(error.__cause__) else StoreRefused
            raise kind(f"cannot keep prices in {self.path}: {error}") from error
        if found != self._version:
            raise StoreRefused(f"{self.path} has layout {found}, this version needs {self._version}: move it away")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writer's thread as one transaction: all of it is kept, or none.

        Nothing of SQLite's may leave the thread: a cursor that is let go of in another one spoils a statement in use.
        """
        return await self._writer.run(lambda connection: _transaction(connection, work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the reader's thread."""
        return await self._reader.run(work)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file could be locked for writing."""
        await self.write(lambda _: None)

    async def checkpoint(self) -> None:
        """Move what was written from the journal into the file, in a third thread, so no writer waits for the disk.

        Whoever opens a database calls this about once a second. The journal can begin anew only when all of it is
        moved, which under steady writes is never quite so; once it is large, the writer moves the little that is left.
        """
        if await self._checkpointer.run(_checkpoint) > _JOURNAL_BYTES:
            await self._writer.run(_checkpoint)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self._checkpointer.close()
        await self._reader.close()
        await self._writer.close()


class _Worker:
    """One thread with one connection, opened on first use: SQLite blocks, and its connections like to stay put."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._connected()))
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

    async def close(self) -> None:
        """Wait for the work under way and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # a writer would wait for the disk; see checkpoint()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: Connection) -> None:
    """Switch the file over; SQLite itself does not wait here for another process that does so at the same moment."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _is_busy(error: BaseException | None) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)  # the low byte names the error, the rest details
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _checkpoint(connection: Connection) -> int:
    """Move what can be moved now; return how large the journal is, in bytes."""
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    return int(frames * size)


def _prepare(connection: Connection, schema: str, version: int) -> int:
    """Create the tables in a new file, unless another process does so first; return the version of the layout."""
    _transaction(connection, lambda connection: _create(connection, schema, version))
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    assert isinstance(found, int)  # noqa: S101  # it is SQLite's own
    return found


def _create(connection: Connection, schema: str, version: int) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in schema.split(";"):  # executescript would commit before it begins
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


def _transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return result
