"""A local SQLite file in WAL mode, for every store, outbox and list of marks on disk. The only user of sqlite3.

One thread writes and another reads, so neither the event loop nor a read waits for a write. A write is one transaction.
It survives a kill -9. After a power cut the file is consistent, but may lack the writes of the last seconds.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aggregator.errors import StoreRefused, StoreUnavailable

T = TypeVar("T")
P = TypeVar("P")

Connection = sqlite3.Connection

_TABLE = re.compile(r"CREATE TABLE (\w+)")
_BUSY_SECONDS = 0.5  # to wait for a lock that another process holds
_PREPARED_BUSY_SECONDS = 2.0  # for a prepared write, whose preparation a failure would waste
_LOOK_SECONDS = 0.002  # between two attempts to get it
_RETRY_SECONDS = 0.01
_JOURNAL_BYTES = 16 << 20  # a larger WAL is truncated to this


class Database:
    """The file at `path` with `schema`, whose version is `version`. Raises StoreUnavailable for SQLite's errors.

    `upgrades` is, for each older version, the SQL that makes this version of such a file.
    """

    def __init__(self, path: Path, schema: str, version: int, upgrades: Mapping[int, str] | None = None) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._upgrades = upgrades or {}
        self._writer = _Worker(path, "sqlite-write", 0.0)  # `_patiently` waits instead
        self._reader = _Worker(path, "sqlite-read")
        self._checkpointer = _Worker(path, "sqlite-checkpoint")

    async def open(self) -> None:
        """Create file and tables where missing, and upgrade a file of an older version in one transaction.

        Raises StoreRefused when the file cannot be used, StoreUnavailable while another process has locked it.
        """
        try:
            found, tables = await self._writer.run(lambda connection: _patiently(self._prepare, connection))
        except StoreUnavailable as error:
            kind = StoreUnavailable if _is_busy(error.__cause__) else StoreRefused
            raise kind(f"cannot use {self.path}: {error}") from error
        ours = set(_TABLE.findall(self._schema))
        if found != self._version and (ours & tables or not tables):
            raise StoreRefused(f"{self.path} has layout {found}, this version needs {self._version}: move it away")
        missing = ours - tables
        if missing:
            raise StoreRefused(f"{self.path} is the file of something else: it has no table {min(missing)}")

    def _prepare(self, connection: Connection) -> tuple[int, set[str]]:
        """Create the tables in a new file, unless another process does so first; upgrade those of an older one.

        A file with tables is not locked for that: its writers may be busy, and a start must not wait for a turn.
        Returns the version of the schema, and the names of the tables.
        """
        if _is_new(connection):
            _transaction(connection, lambda connection: _create(connection, self._schema, self._version))
        if _version(connection) in self._upgrades:
            _transaction(connection, lambda connection: _upgrade(connection, self._upgrades, self._version))
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return _version(connection), {name for (name,) in names}

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writer's thread as one transaction.

        `work` must not return a cursor: closing it in another thread breaks a statement that is in use.
        """
        return await self._writer.run(lambda connection: _transaction(connection, work))

    async def write_prepared(self, prepare: Callable[[Connection], P], work: Callable[[Connection, P], T]) -> T:
        """As `write`, with what `prepare` returns.

        It runs in the same thread before the transaction, so no other process waits for it. It must only read, and
        runs again where another process has locked the file.
        """

        def run(connection: Connection) -> T:
            prepared = _patiently(prepare, connection)
            return _transaction(connection, lambda connection: work(connection, prepared), _PREPARED_BUSY_SECONDS)

        return await self._writer.run(run)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the reader's thread, outside of a transaction."""
        return await self._reader.run(work)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be locked for writing."""
        await self.write(lambda _: None)

    async def checkpoint(self) -> None:
        """Move writes from the journal into the file. To be called about once a second while the database is open.

        A third thread does this, so no write waits for the disk. SQLite can reuse the journal only when all of it has
        been moved, which steady writes prevent. Therefore the writer moves the rest once the journal is large.
        """
        if await self._checkpointer.run(_checkpoint) > _JOURNAL_BYTES:
            await self._writer.run(_checkpoint)

    async def close(self) -> None:
        """Wait for the work under way and close the file."""
        await self._checkpointer.close()
        await self._reader.close()
        await self._writer.close()


class _Worker:
    """A thread with a connection, opened on first use: SQLite blocks, and a connection belongs to one thread.

    A statement waits at most `busy_seconds` for a lock that another process holds.
    """

    def __init__(self, path: Path, name: str, busy_seconds: float = _BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
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
            self._connection = _connect(self._path, self._busy_seconds)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path, busy_seconds: float) -> Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # a write would wait for the disk; see `checkpoint`
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: Connection) -> None:
    """Switch the file to WAL. Retries, because SQLite does not wait here for another process that does the same."""
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
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)  # the low byte is the error, the rest its detail
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _checkpoint(connection: Connection) -> int:
    """Move what no reader or writer is using; return the size of the journal in bytes."""
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    return int(frames * size)


def _version(connection: Connection) -> int:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    assert isinstance(found, int)  # noqa: S101  # SQLite returns an int
    return found


def _is_new(connection: Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _create(connection: Connection, schema: str, version: int) -> None:
    if _is_new(connection):
        _run(connection, schema, version)


def _upgrade(connection: Connection, upgrades: Mapping[int, str], version: int) -> None:
    """Upgrade the file, unless another process has done so meanwhile."""
    statements = upgrades.get(_version(connection))
    if statements is not None:
        _run(connection, statements, version)


def _run(connection: Connection, statements: str, version: int) -> None:
    for statement in statements.split(";"):  # executescript would commit before it begins
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")


def _patiently(work: Callable[[Connection], T], connection: Connection, seconds: float = _BUSY_SECONDS) -> T:
    """Run `work`, again and again while another process holds a lock that it needs, at most so long.

    It looks every 2 ms. SQLite looks after longer and longer pauses, up to 100 ms: of three processes that write all
    the time, one or another got no turn within half a second.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work(connection)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _begin(connection: Connection) -> None:
    """Begin to write. No later statement of the transaction has to wait for another process."""
    connection.execute("BEGIN IMMEDIATE")


def _transaction(connection: Connection, work: Callable[[Connection], T], seconds: float = _BUSY_SECONDS) -> T:
    """Run `work` as a transaction, which waits at most so long for the lock of another process.

    It has as few statements as possible: in each, the thread gives the interpreter's lock away several times, and then
    waits for it while the event loop is busy.
    """
    _patiently(_begin, connection, seconds)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return result
