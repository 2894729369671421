"""Marks: the ranges whose events the archive may lack, in a small SQLite file.

A range is marked before the store has its events, and loses its mark once a file with them is checked. So after a kill
the marks tell what to write again; a range that is written twice is the same file. Each process has a file of its own:
a second one that is started with the same path uses `archive-2.db`.
"""

import fcntl
import os
import socket
from collections.abc import Collection, Mapping
from math import inf
from pathlib import Path
from uuid import uuid4

from aggregator.errors import StoreRefused
from aggregator.stores.database import Connection, Database

_SCHEMA = """
CREATE TABLE marks (
    dataset TEXT NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (dataset, start, end)
) WITHOUT ROWID;
CREATE TABLE assets (
    dataset TEXT NOT NULL,
    asset TEXT NOT NULL,
    PRIMARY KEY (dataset, asset)
) WITHOUT ROWID;
CREATE TABLE backfilled (dataset TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID
"""
_VERSION = 1
_MOST_PROCESSES = 64  # on one path

Range = tuple[int, int]
"""Start and end (exclusive) in unix seconds."""


class Marks:
    """The marks of this process. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1
        self._name = ""
        self._file: Database | None = None
        self._versions: dict[str, dict[Range, int]] = {}
        self._assets: dict[str, set[str]] = {}
        self._backfilled: set[str] = set()
        self._last = 0

    @property
    def path(self) -> Path:
        """The file of this process."""
        return self._path

    @property
    def name(self) -> str:
        """The name of the archiver with this file, among those of all machines: it stays with the file's lock."""
        return self._name

    async def open(self) -> None:
        """Open the first file that no other process has. Raises StoreRefused when the path cannot be used."""
        if self._file is None:
            self._path, self._lock = _first_free(self._path)
            self._name = _name_in(self._lock, self._path)
            self._file = Database(self._path, _SCHEMA, _VERSION)
        await self._file.open()
        marks, assets, backfilled = await self._file.read(_read)
        for dataset, start, end, version in marks:
            self._versions.setdefault(dataset, {})[start, end] = version
            self._last = max(self._last, version)
        for dataset, asset in assets:
            self._assets.setdefault(dataset, set()).add(asset)
        self._backfilled = {dataset for (dataset,) in backfilled}

    def ranges(self, dataset: str) -> Mapping[Range, int]:
        """Return the marked ranges, each with the version of its mark."""
        return self._versions.get(dataset, {})

    def assets(self, dataset: str) -> Collection[str]:
        """Return every asset that a marked range may have."""
        return self._assets.get(dataset, set())

    def oldest(self, dataset: str) -> float:
        """Return the start of the oldest marked range; infinity without one."""
        return min((start for start, _ in self.ranges(dataset)), default=inf)

    def is_backfilled(self, dataset: str) -> bool:
        """Whether the events that were stored before the first start have been marked."""
        return dataset in self._backfilled

    async def mark(self, dataset: str, ranges: Collection[Range], assets: Collection[str]) -> None:
        """Mark ranges, also those that are marked already, before events of the assets are stored."""
        self._last += 1
        version = self._last
        new = set(assets) - self._assets.setdefault(dataset, set())
        rows = [(dataset, start, end, version) for start, end in ranges]
        file = self._opened()
        await file.write(lambda connection: _mark(connection, rows, [(dataset, one) for one in new]))
        await file.checkpoint()  # to the disk, so that a power cut loses no mark of what a store has kept
        self._assets[dataset] |= new
        self._versions.setdefault(dataset, {}).update(dict.fromkeys(ranges, version))

    async def clear(self, dataset: str, one: Range, version: int) -> None:
        """Remove a mark, unless the range was marked again since `version`."""
        if self.ranges(dataset).get(one) != version:
            return
        await self._opened().write(lambda connection: _clear(connection, (dataset, *one, version)))
        if self.ranges(dataset).get(one) == version:
            del self._versions[dataset][one]

    async def set_backfilled(self, dataset: str) -> None:
        """Note that all events which are stored are marked or archived."""
        await self._opened().write(lambda connection: _set_backfilled(connection, dataset))
        self._backfilled.add(dataset)

    async def close(self) -> None:
        """Close the file, and let another process have it."""
        if self._file is not None:
            await self._file.close()
            self._file = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _opened(self) -> Database:
        if self._file is None:
            raise StoreRefused(f"{self._path} is not opened")
        return self._file


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _first_free(path: Path) -> tuple[Path, int]:
    for number in range(1, _MOST_PROCESSES + 1):
        chosen = _numbered(path, number)
        try:
            lock = os.open(f"{chosen}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreRefused(f"cannot use {chosen}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return chosen, lock
    raise StoreRefused(f"{_MOST_PROCESSES} processes use {path}")


def _name_in(lock: int, path: Path) -> str:
    """Return the name that a locked file has, or gets now."""
    try:
        found = os.pread(lock, 1000, 0).decode(errors="replace").strip()
        if not found:
            found = f"{socket.gethostname()}:{path.resolve()}:{uuid4().hex[:8]}"
            os.pwrite(lock, found.encode(), 0)
            os.fsync(lock)
    except OSError as error:
        raise StoreRefused(f"cannot use {path}.lock: {error.strerror}") from error
    return found


def _read(
    connection: Connection,
) -> tuple[list[tuple[str, int, int, int]], list[tuple[str, str]], list[tuple[str]]]:
    return (
        connection.execute("SELECT dataset, start, end, version FROM marks").fetchall(),
        connection.execute("SELECT dataset, asset FROM assets").fetchall(),
        connection.execute("SELECT dataset FROM backfilled").fetchall(),
    )


def _mark(connection: Connection, rows: list[tuple[str, int, int, int]], assets: list[tuple[str, str]]) -> None:
    connection.executemany("INSERT OR IGNORE INTO assets VALUES (?, ?)", assets)
    connection.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", rows)


def _clear(connection: Connection, row: tuple[str, int, int, int]) -> None:
    connection.execute("DELETE FROM marks WHERE dataset = ? AND start = ? AND end = ? AND version = ?", row)


def _set_backfilled(connection: Connection, dataset: str) -> None:
    connection.execute("INSERT OR IGNORE INTO backfilled VALUES (?)", (dataset,))


def files_on(path: Path) -> list[Path]:
    """Return the files of marks of all processes on a path."""
    numbered = (_numbered(path, number) for number in range(1, _MOST_PROCESSES + 1))
    return [one for one in numbered if one.exists()]


async def read_ranges(path: Path, dataset: str) -> set[Range]:
    """Return the ranges that any process on this path has marked. Raises StoreError."""
    found = set[Range]()
    for chosen in files_on(path):
        file = Database(chosen, _SCHEMA, _VERSION)
        try:
            await file.open()
            marks, _, _ = await file.read(_read)
        finally:
            await file.close()
        found |= {(start, end) for name, start, end, _ in marks if name == dataset}
    return found
