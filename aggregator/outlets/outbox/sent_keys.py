"""The keys of events that were sent lately, in the file of the outbox: one that is noted is not sent again.

A key is the event's time and a digest of its outlet and key. While the event waits, the time of the note is the id of
its row, which is in nanoseconds; later it is that of the delivery.
"""

from collections.abc import Sequence
from typing import Any

from aggregator.stores.database import Connection
from aggregator.stores.waiting_file import MOST_VALUES

SENT_KEYS = """CREATE TABLE seen (digest BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_by_at ON seen (at)"""
"""The SQL of the table."""

_PAGE = 5000  # keys that are looked at together
_AGAIN = 60_000_000_000  # nanoseconds between two looks at the keys of waiting rows


def older_key(key: bytes) -> str:
    """Return a key as files of version 301 have it."""
    return key[8:].hex()


def unsent(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Note the keys of rows, which are the third values; return the rows whose key was not noted before.

    The first value of a row is its id, the time of the note.
    """
    rows = _unknown_before(connection, rows)
    if not rows:
        return rows
    pairs = [(row[2], row[0]) for row in rows]
    inserted, most = 0, MOST_VALUES // 2
    for first in range(0, len(pairs), most):
        some = pairs[first : first + most]
        statement = f"INSERT OR IGNORE INTO seen VALUES {','.join(['(?,?)'] * len(some))}"
        inserted += connection.execute(statement, [value for pair in some for value in pair]).rowcount
    if inserted == len(rows):
        return rows
    query = "SELECT at FROM seen WHERE at BETWEEN ? AND ?"
    noted = {at for (at,) in connection.execute(query, (rows[0][0], rows[-1][0]))}
    return [row for row in rows if row[0] in noted]


def _unknown_before(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Return the rows whose key was not noted by version 301, as long as such keys are left: they are texts."""
    if connection.execute("SELECT 1 FROM seen WHERE digest < x'' LIMIT 1").fetchone() is None:
        return rows
    known: set[str] = set()
    for first in range(0, len(rows), MOST_VALUES):
        some = [older_key(row[2]) for row in rows[first : first + MOST_VALUES]]
        query = f"SELECT digest FROM seen WHERE digest IN ({','.join('?' * len(some))})"
        known.update(digest for (digest,) in connection.execute(query, some))
    return [row for row in rows if older_key(row[2]) not in known]


class KeyPurge:
    """Deletes old keys, but for those of rows that wait in `tables`.

    An event that waits for days does not keep the keys of all later ones: these would fill the file. Below the oldest
    waiting row, keys are deleted unseen. Above it, each call looks at some, and goes on where the last one has ended.
    """

    def __init__(self, tables: Sequence[str]) -> None:
        self._tables = tables
        self._reached = 0  # the time of the last key that was looked at
        self._begins_at = 0  # when to begin anew, for keys of rows that were given up, or are dead letters

    def some(self, connection: Connection, latest: int, now: int) -> int:
        """Delete keys before `latest`; return how many were looked at, 0 once that were all. Both are nanoseconds."""
        firsts = (f"SELECT min(id) AS first FROM {table}" for table in self._tables)
        first = connection.execute(f"SELECT min(first) FROM ({' UNION ALL '.join(firsts)})").fetchone()[0]
        until = latest if first is None else min(latest, first)
        chosen = f"SELECT digest FROM seen WHERE at < ? ORDER BY at LIMIT {_PAGE}"
        gone = connection.execute(f"DELETE FROM seen WHERE digest IN ({chosen})", (until,)).rowcount
        return gone if gone or until == latest else self._above(connection, latest, now)

    def _above(self, connection: Connection, latest: int, now: int) -> int:
        query = f"SELECT at, digest FROM seen WHERE at > ? AND at < ? ORDER BY at LIMIT {_PAGE}"
        found = connection.execute(query, (self._reached, latest)).fetchall()
        if found:
            self._reached = found[-1][0]
            waiting = self._waiting(connection, found[0][0], found[-1][0])
            _delete(connection, [digest for at, digest in found if at not in waiting])
        if len(found) < _PAGE and now >= self._begins_at:
            self._reached, self._begins_at = 0, now + _AGAIN
        return len(found)

    def _waiting(self, connection: Connection, first: int, last: int) -> set[int]:
        """Return the ids of waiting rows between two times, both inclusive."""
        queries = (f"SELECT id FROM {table} WHERE id BETWEEN ?1 AND ?2" for table in self._tables)
        return {row_id for (row_id,) in connection.execute(" UNION ALL ".join(queries), (first, last))}


def _delete(connection: Connection, digests: Sequence[bytes | str]) -> None:
    for first in range(0, len(digests), MOST_VALUES):
        some = digests[first : first + MOST_VALUES]
        connection.execute(f"DELETE FROM seen WHERE digest IN ({','.join('?' * len(some))})", some)
