"""The SQLite file of an outbox: records that wait for a remote table, and dead letters, which the table refused.

Records are in groups, with one SQL table of waiting rows each. When the file is full, the oldest rows of the last group
are deleted first, which frees whole pages of the file; a kind of record without this has `append` refused instead. A
row's id is the time of writing in nanoseconds, increased where needed, so ids give one order across the groups. It is
given in the transaction, so that no two processes give the same one, and a later transaction gives larger ones.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from aggregator.errors import StoreUnavailable
from aggregator.stores.database import Connection, Database
from aggregator.stores.record_kind import Record, RecordKind

R = TypeVar("R", bound=Record)

_UNCHECKED_SHARE = 0.001  # of the bound, appended between two checks of the size; a check costs as much as an append
MOST_VALUES = 900  # of one statement; any SQLite takes 999
_DROP_ROWS = 200  # deleted at a time when the file is full


class Row(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """A waiting record and its id."""

    id: int
    record: R


class Appended(msgspec.Struct, Generic[R], frozen=True):
    """The rows that were written, and how many waiting rows of each group were deleted to make room.

    `before` is the last id that was given to a record before this append, `last` the last one of this append.
    `is_alone`: no other process has written to the file since the append before.
    """

    rows: Sequence[Row[R]]
    given_up: Mapping[str, int]
    before: int
    last: int
    is_alone: bool = False

    @property
    def added(self) -> Sequence[R]:
        """The records that were written."""
        return [row.record for row in self.rows]


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that the remote table refused: why, and when (unix seconds). `body` is the record's JSON."""

    id: int
    asset: str
    timestamp: float
    refused_at: float
    reason: str
    body: str


class Size(msgspec.Struct, frozen=True):
    """The content of the file in numbers. `oldest` is when the oldest waiting row was written, in unix seconds."""

    rows: int
    oldest: float | None
    bytes: int
    dead: int


class WaitingFile(Generic[R]):
    """The file at `path`, at most `most_bytes` large without its journal. Raises StoreError."""

    def __init__(self, path: Path, most_bytes: int, kind: RecordKind[R]) -> None:
        self.kind = kind
        self._path = path
        self._file = Database(path, kind.schema, kind.version, kind.upgrades)
        self._most_bytes = most_bytes
        self._last_id = 0
        self._version = 0  # of the data, as the connection of the writer counts what others commit
        self._unchecked_bytes = most_bytes  # appended since the last check of the size; the first append checks

    @property
    def last_id(self) -> int:
        """The last id that was given to a record; after `open`, the largest one in the file."""
        return self._last_id

    async def open(self) -> None:
        """Create the file if it is missing."""
        await self._file.open()
        self._version = await self._file.write(_version)
        await self._file.read(self._pass_others)

    async def checkpoint(self) -> None:
        """As `Database.checkpoint`."""
        await self._file.checkpoint()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Wait for the work under way and close the file."""
        await self._file.close()

    async def append(self, records: Sequence[R]) -> Appended[R]:
        """Write all of `records` in one transaction; of a unique kind, those whose key does not wait yet."""
        encoded = [(self.kind.group(one), self.kind.key(one), self.kind.encode(one)) for one in records]
        self._unchecked_bytes += sum(len(body) for _, _, body in encoded)

        def append(connection: Connection) -> Appended[R]:
            given_up = self._make_room(connection, {group for group, _, _ in encoded})
            version, self._version = self._version, _version(connection)
            if version != self._version:
                self._pass_others(connection)
            before = self._last_id
            numbered = [Row(self._next_id(), record) for record in records]
            rows: dict[str, list[tuple[object, ...]]] = {group: [] for group in self.kind.groups}
            for row, (group, key, body) in zip(numbered, encoded, strict=True):
                rows[group].append((row.id, *key, body))
            left_out = {row_id for group, ours in rows.items() for row_id in self._insert(connection, group, ours)}
            added = [row for row in numbered if row.id not in left_out] if left_out else numbered
            return Appended(added, given_up, before, self._last_id, version == self._version)

        return await self._file.write(append)

    async def after(self, row_id: int, limit: int) -> list[Row[R]]:
        """Return at most `limit` rows with a larger id, the oldest first."""
        query = f"{self.of_all_groups('WHERE id > ?1 ORDER BY id LIMIT ?2')} ORDER BY id LIMIT ?2"
        found = await self.read(query, (row_id, limit))
        return [Row(found_id, self.kind.decode(body)) for found_id, body in found]

    async def read(self, query: str, values: Sequence[object]) -> list[tuple[int, str]]:
        """Return ids and bodies that a query finds."""
        return await self._file.read(lambda connection: connection.execute(query, values).fetchall())

    async def read_each(self, query: str, values: Iterable[Sequence[object]]) -> list[list[tuple[int, str]]]:
        """Return ids and bodies that a query finds for each of `values`."""
        return await self._file.read(lambda connection: [connection.execute(query, one).fetchall() for one in values])

    async def remove(self, rows: Sequence[Row[R]]) -> None:
        """Delete rows that the remote table has taken; rows that are not there are ignored."""
        await self._file.write(lambda connection: self._remove(connection, rows))

    async def move_to_dead_letters(self, row: Row[R], reason: str, now: float) -> None:
        """Move a row to the dead letters."""
        one = row.record
        dead = (row.id, one.asset, one.timestamp, now, reason, self.kind.encode(one))

        def move(connection: Connection) -> None:
            self._remove(connection, [row])
            connection.execute("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", dead)

        await self._file.write(move)

    async def size(self) -> Size:
        """Return what is in the file now."""
        return await self._file.read(lambda connection: _size(connection, self.kind.groups))

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetter]:
        """Return at most `limit` dead letters with a larger id, the oldest first."""
        query = "SELECT * FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?"
        found = await self._file.read(lambda connection: connection.execute(query, (after, limit)).fetchall())
        return [DeadLetter(*row) for row in found]

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return the dead letter with this id, if there is one."""
        found = await self.dead_letters(letter_id - 1, 1)
        return found[0] if found and found[0].id == letter_id else None

    async def replay(self, letter: DeadLetter) -> None:
        """Move a dead letter to the waiting rows, to be sent again."""
        record = self.kind.decode(letter.body)

        def replay(connection: Connection) -> None:
            if connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,)).rowcount:
                self._pass_others(connection)
                new = (self._next_id(), *self.kind.key(record), letter.body)
                self._insert(connection, self.kind.group(record), [new])

        await self._file.write(replay)

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""

        def forget(connection: Connection) -> None:
            connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,))

        await self._file.write(forget)

    def of_all_groups(self, part: str, columns: str = "*") -> str:
        """Return the query for ids and bodies of all groups; `part` is what follows each SQL table's name."""
        selects = (f"SELECT {columns} FROM waiting_{group} {part}" for group in self.kind.groups)
        return " UNION ALL ".join(f"SELECT id, body FROM ({select})" for select in selects)

    def _next_id(self) -> int:
        """Return the next id; the thread of the writer calls it."""
        self._last_id = max(time.time_ns(), self._last_id + 1)
        return self._last_id

    def _pass_others(self, connection: Connection) -> None:
        """Let the next ids be larger than those in the file, which other processes may have given."""
        queries = (f"SELECT max(id) FROM waiting_{group}" for group in self.kind.groups)
        largest = (connection.execute(query).fetchone()[0] or 0 for query in queries)
        self._last_id = max(self._last_id, *largest)

    def _insert(self, connection: Connection, group: str, rows: Sequence[tuple[object, ...]]) -> list[int]:
        """Insert with few statements, each of which releases and takes the interpreter's lock.

        Return the ids of the rows whose key waits already.
        """
        if not rows:
            return []
        unless = f" ON CONFLICT ({', '.join(self.kind.columns)}) DO NOTHING" if self.kind.is_unique else ""
        places, most = ",".join("?" * len(rows[0])), MOST_VALUES // len(rows[0])
        inserted = 0
        for first in range(0, len(rows), most):
            some = rows[first : first + most]
            statement = f"INSERT INTO waiting_{group} VALUES {','.join([f'({places})'] * len(some))}{unless}"
            inserted += connection.execute(statement, [value for row in some for value in row]).rowcount
        if inserted == len(rows):
            return []
        query = f"SELECT id FROM waiting_{group} WHERE id BETWEEN ? AND ?"
        there = {found for (found,) in connection.execute(query, (rows[0][0], rows[-1][0]))}
        return [row_id for row_id, *_ in rows if isinstance(row_id, int) and row_id not in there]

    def _remove(self, connection: Connection, rows: Sequence[Row[R]]) -> None:
        for group in self.kind.groups:
            ids = [row.id for row in rows if self.kind.group(row.record) == group]
            if ids:
                places = ",".join("?" * len(ids))
                connection.execute(f"DELETE FROM waiting_{group} WHERE id IN ({places})", ids)

    def _make_room(self, connection: Connection, groups: AbstractSet[str]) -> Mapping[str, int]:
        """Keep the waiting rows below the bound; return how many rows of each group were deleted for it.

        Dead letters do not count: they are never deleted to make room, and must not displace rows that the table would
        take. Raises StoreUnavailable when the file is full and no row may be given up; `groups` are those of the rows
        to come.
        """
        if self._unchecked_bytes <= self._most_bytes * _UNCHECKED_SHARE:
            return {}
        most = self._most_bytes + _dead_bytes(connection)
        if self.kind.gives_up:
            given_up = _delete_oldest(connection, [one for one in self.kind.groups if one not in self.kind.kept], most)
            if self.kind.kept and _bytes(connection) > most and not groups.isdisjoint(self.kind.kept):
                raise StoreUnavailable(f"{self._path} is full of rows that are never given up")
        elif _bytes(connection) > most:
            raise StoreUnavailable(f"{self._path} is full: {most >> 20} MiB wait for the table")
        else:
            given_up = {}
        self._unchecked_bytes = 0
        return given_up


def _delete_oldest(connection: Connection, groups: Sequence[str], most_bytes: int) -> Mapping[str, int]:
    """Delete the oldest rows of the last group that has any, until the file is below the bound."""
    deleted: dict[str, int] = {}
    for group in reversed(groups):
        oldest = f"SELECT id FROM waiting_{group} ORDER BY id LIMIT {_DROP_ROWS}"
        while _bytes(connection) > most_bytes:
            gone = connection.execute(f"DELETE FROM waiting_{group} WHERE id IN ({oldest})").rowcount
            if not gone:
                break
            deleted[group] = deleted.get(group, 0) + gone
    return deleted


def _version(connection: Connection) -> int:
    """Return a number that another one follows once another connection has committed a change."""
    found: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return found


def _dead_bytes(connection: Connection) -> int:
    found: int = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM dead_letters").fetchone()[0]
    return found


def _bytes(connection: Connection) -> int:
    """Return the bytes of the pages in use; SQLite reuses free pages before the file grows."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    in_use = (pages - free) * size
    assert isinstance(in_use, int)  # noqa: S101  # SQLite returns ints
    return in_use


def _size(connection: Connection, groups: Sequence[str]) -> Size:
    counts, oldest = 0, []
    for group in groups:
        count, first = connection.execute(f"SELECT count(*), min(id) FROM waiting_{group}").fetchone()
        counts += count
        oldest += [first] if first is not None else []
    dead = connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
    return Size(counts, min(oldest) / 1e9 if oldest else None, _bytes(connection), dead)
