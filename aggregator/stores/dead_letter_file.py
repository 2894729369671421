"""The SQLite file of dead letters: records that were sent to the service, could not be taken, and are kept.

A record that fails again is the same dead letter, with one more attempt and the newest reason. Where the source names
the place of the record in a log, the same bytes at another place are another record.
"""

import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from aggregator.stores.database import Connection, Database

_SCHEMA = """
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    first_failed REAL NOT NULL,
    last_failed REAL NOT NULL,
    attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE INDEX dead_letters_to_retry ON dead_letters (code, retries, last_failed)
"""
_VERSION = 201  # neither that of a store nor that of an outbox
_COLUMNS = "id, kind, source, first_failed, last_failed, attempts, retries, code, reason, raw"
_BURY = """
INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET
    last_failed = excluded.last_failed, attempts = attempts + 1, code = excluded.code, reason = excluded.reason
"""
_DROP = "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters ORDER BY id LIMIT ?)"

MOST_RAW = 4096  # bytes
MOST_REASON = 500  # characters


class FailedRecord(msgspec.Struct, frozen=True):
    """A record that could not be taken: its kind, where it came from, when it failed (unix seconds), and why."""

    kind: str
    source: str
    at: float
    code: str
    reason: str
    raw: bytes


class FailedLetter(msgspec.Struct, frozen=True):
    """A dead letter: a record with the times of its first and last failure (unix seconds).

    `attempts` counts all failures, `retries` those of attempts by the service itself.
    """

    id: int
    kind: str
    source: str
    first_failed: float
    last_failed: float
    attempts: int
    retries: int
    code: str
    reason: str
    raw: bytes


class DeadLetterFile:
    """The file at `path`, with at most `most` dead letters; the oldest go first. Raises StoreError."""

    def __init__(self, path: Path, most: int) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._most = most
        self._last_id = 0

    async def open(self) -> None:
        """Create the file if it is missing."""
        await self._file.open()
        self._last_id = await self._file.read(_largest_id)

    async def checkpoint(self) -> None:
        """As `Database.checkpoint`."""
        await self._file.checkpoint()

    async def close(self) -> None:
        """Wait for the work under way and close the file."""
        await self._file.close()

    async def bury(self, records: Sequence[FailedRecord]) -> int:
        """Write all of `records` in one transaction; return how many old dead letters were deleted for them."""
        rows = [
            (self._next_id(), _digest(one), one.kind, one.source, one.at, one.at, one.code, one.reason[:MOST_REASON],
             one.raw[:MOST_RAW])
            for one in records
        ]  # fmt: skip

        def bury(connection: Connection) -> int:
            connection.executemany(_BURY, rows)
            count = connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
            return connection.execute(_DROP, (count - self._most,)).rowcount if count > self._most else 0

        return await self._file.write(bury)

    async def letters(self, after: int, limit: int) -> list[FailedLetter]:
        """Return at most `limit` dead letters with a larger id, the oldest first."""
        return await self._select("WHERE id > ? ORDER BY id LIMIT ?", after, limit)

    async def letter(self, letter_id: int) -> FailedLetter | None:
        """Return the dead letter with this id, if there is one."""
        found = await self._select("WHERE id = ?", letter_id)
        return found[0] if found else None

    async def due(self, codes: Sequence[str], most_retries: int, before: float, limit: int) -> list[FailedLetter]:
        """Return at most `limit` dead letters with one of `codes` and fewer retries, that failed last before a time."""
        places = ",".join("?" * len(codes))
        part = f"WHERE code IN ({places}) AND retries < ? AND last_failed < ? LIMIT ?"
        return await self._select(part, *codes, most_retries, before, limit)

    async def given_up(
        self, codes: Sequence[str], most_retries: int, before: float, others_before: float, limit: int
    ) -> list[FailedLetter]:
        """Return at most `limit` dead letters that are not tried again, the oldest first.

        These are such with one of `codes` and all retries, that failed last before a time, and such with another code,
        that failed last before another one.
        """
        places = ",".join("?" * len(codes))
        part = (
            f"WHERE (code IN ({places}) AND retries >= ? AND last_failed < ?)"
            f" OR (code NOT IN ({places}) AND last_failed < ?) ORDER BY id LIMIT ?"
        )
        return await self._select(part, *codes, most_retries, before, *codes, others_before, limit)

    async def failed_again(self, letter: FailedLetter, record: FailedRecord) -> None:
        """Count a failed retry."""
        query = """
            UPDATE dead_letters
            SET last_failed = ?, attempts = attempts + 1, retries = retries + 1, code = ?, reason = ? WHERE id = ?
        """
        values = (record.at, record.code, record.reason[:MOST_REASON], letter.id)
        await self._file.write(lambda connection: connection.execute(query, values).rowcount)

    async def forget(self, letters: Sequence[FailedLetter]) -> None:
        """Delete dead letters."""
        ids = [(letter.id,) for letter in letters]
        await self._file.write(
            lambda connection: connection.executemany("DELETE FROM dead_letters WHERE id = ?", ids).rowcount
        )

    async def _select(self, part: str, *values: object) -> list[FailedLetter]:
        query = f"SELECT {_COLUMNS} FROM dead_letters {part}"  # noqa: S608  # all parts are constants
        found = await self._file.read(lambda connection: connection.execute(query, values).fetchall())
        return [FailedLetter(*row) for row in found]

    def _next_id(self) -> int:
        self._last_id = max(time.time_ns(), self._last_id + 1)
        return self._last_id


def _digest(record: FailedRecord) -> bytes:
    _, _, place = record.source.partition(":")
    return blake2b(f"{record.kind}{place}\0".encode() + record.raw[:MOST_RAW], digest_size=16).digest()


def _largest_id(connection: Connection) -> int:
    found = connection.execute("SELECT max(id) FROM dead_letters").fetchone()[0]
    return 0 if found is None else int(found)
