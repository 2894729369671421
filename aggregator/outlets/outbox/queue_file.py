"""The file of the outlets' outbox: events that wait, by outlet, the keys of those sent lately, and dead letters."""

import time
from collections.abc import Container, Sequence
from hashlib import blake2b
from pathlib import Path
from secrets import randbits
from struct import pack
from typing import NamedTuple

import msgspec

from aggregator.models import encode
from aggregator.outlets.outbox.sent_keys import SENT_KEYS, KeyPurge, older_key, unsent
from aggregator.outlets.ports import OutletEvent
from aggregator.stores.database import Connection
from aggregator.stores.record_kind import Key, RecordKind
from aggregator.stores.waiting_file import MOST_VALUES, DeadLetter, Row, WaitingFile

DEDUP_SECONDS = 300.0
_LATE_SECONDS = 10.0  # between writing and delivery: the time of delivery counts then
_SECOND = 1_000_000_000  # ids and times of keys are in nanoseconds
_NEVER_GIVEN_UP = ("anomalies", "signals", "alerts")
_AFTER = "WHERE outlet = ?3 AND id > ?1 ORDER BY id LIMIT ?2"
_KEPT, _REST, _PRICES = "kept", "rest", "prices"
_MORE = f""";
{SENT_KEYS};
CREATE TABLE ended (outlet TEXT PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL)
"""


class Queued(msgspec.Struct, gc=False, frozen=True):
    """An event that waits for one outlet. `retries` counts how often it came back from the dead letters by itself."""

    outlet: str
    topic: str
    asset: str
    key: str
    timestamp: float
    tier: str
    body: msgspec.Raw
    retries: int = 0

    @property
    def event(self) -> OutletEvent:
        """The event as adapters get it."""
        return OutletEvent(self.topic, self.asset, self.key, self.timestamp, bytes(self.body), self.tier)


class Page(NamedTuple):
    """Rows of a scan, the last id of the scan, None without any, and whether more may follow."""

    rows: Sequence[Row[Queued]]
    last: int | None
    is_full: bool


def queued(outlet: str, event: OutletEvent) -> Queued:
    """Return an event as it waits for an outlet."""
    body = msgspec.Raw(event.body)
    return Queued(outlet, event.topic, event.asset, event.key, event.timestamp, event.tier, body)


def digest_of(record: Queued) -> bytes:
    """Return the digest of an event's outlet and key."""
    return blake2b(f"{record.outlet}\0{record.key}".encode(), digest_size=8).digest()


def _seen_key(record: Queued) -> bytes:
    """Return the time and the digest of an event.

    The time keeps the keys of a moment together in the file. With the digest alone, each event of a transaction would
    write a page of its own.
    """
    return pack(">d", record.timestamp) + digest_of(record)


def _key(record: Queued) -> Key:
    return (record.outlet, _seen_key(record))  # the second is no column: `QueueFile._insert` takes it


def _group(record: Queued) -> str:
    if record.topic == _PRICES:
        return _PRICES
    return _KEPT if record.topic in _NEVER_GIVEN_UP else _REST


_decoder = msgspec.json.Decoder(Queued)
QUEUED = RecordKind(
    key=_key,
    encode=lambda record: encode(record).decode(),
    decode=_decoder.decode,
    groups=(_KEPT, _REST, _PRICES),
    group=_group,
    columns=("outlet",),
    version=302,
    kept=(_KEPT,),
    copied=301,
    more=_MORE,
)
"""The kind of record in the file. A full file gives up the oldest prices, then trades and sentiment, no others."""


class QueueFile(WaitingFile[Queued]):
    """The file at `path`, at most `most_bytes` large without its journal. Raises StoreError.

    An event whose key waits, or was sent in the last 300 seconds, is not appended.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, most_bytes, QUEUED)
        self._purge = KeyPurge([f"waiting_{group}" for group in self.kind.groups])

    async def identity(self) -> str:
        """Return what tells this file from those of other machines; it stays the same for the life of the file."""

        def identify(connection: Connection) -> int:
            found: int = connection.execute("PRAGMA application_id").fetchone()[0]
            if not found:
                found = randbits(31) or 1
                connection.execute(f"PRAGMA application_id = {found}")
            return found

        return f"{await self._file.write(identify):08x}"

    async def waiting(self, outlet: str, after: int, limit: int) -> list[Row[Queued]]:
        """Return at most `limit` rows of an outlet with a larger id, the oldest first."""
        query = f"{self.of_all_groups(_AFTER)} ORDER BY id LIMIT ?2"
        return [Row(row_id, _decoder.decode(body)) for row_id, body in await self.read(query, (after, limit, outlet))]

    async def waiting_but(self, outlet: str, after: int, limit: int, known: Container[int]) -> Page:
        """Return the rows as `waiting`, without those in `known`, which count for the last id and the limit.

        Of known rows only the index is read. `known` may change meanwhile.
        """
        query = f"{self.of_all_groups(_AFTER, 'id, NULL AS body')} ORDER BY id LIMIT ?2"

        def read(connection: Connection) -> tuple[list[tuple[int, str]], list[int]]:
            ids = [found for found, _ in connection.execute(query, (after, limit, outlet))]
            found: list[tuple[int, str]] = []
            new = [one for one in ids if one not in known]
            for first in range(0, len(new), MOST_VALUES):
                some = new[first : first + MOST_VALUES]
                chosen = self.of_all_groups(f"WHERE id IN ({','.join(map(str, some))})", "id, body")
                found += connection.execute(f"{chosen} ORDER BY id").fetchall()
            return found, ids

        found, ids = await self._file.read(read)
        rows = [Row(row_id, _decoder.decode(body)) for row_id, body in found]
        return Page(rows, ids[-1] if ids else None, len(ids) == limit)

    async def oldest(self, outlet: str) -> float | None:
        """Return when the oldest waiting row of an outlet was written, in unix seconds; None without any."""
        found = await self.waiting(outlet, 0, 1)
        return found[0].id / _SECOND if found else None

    async def count(self, outlet: str) -> int:
        """Return how many rows of an outlet wait."""
        part = "WHERE outlet = ?1"
        selects = " UNION ALL ".join(
            f"SELECT count(*) AS number FROM waiting_{group} {part}" for group in self.kind.groups
        )
        found = await self.read(f"SELECT sum(number), '' FROM ({selects})", (outlet,))
        return found[0][0]

    async def left(self) -> dict[str, int]:
        """Return how many rows wait, by outlet; also of outlets that there are no more."""
        selects = " UNION ALL ".join(f"SELECT outlet FROM waiting_{group}" for group in self.kind.groups)
        query = f"SELECT outlet, count(*) FROM ({selects}) GROUP BY outlet"
        return await self._file.read(lambda connection: dict(connection.execute(query).fetchall()))

    async def delivered(self, rows: Sequence[Row[Queued]]) -> None:
        """Delete rows that the outlet has taken; their keys stay for 300 seconds."""
        now = time.time_ns()
        keys = [_seen_key(row.record) for row in rows if row.id < now - _LATE_SECONDS * _SECOND]
        late = [*keys, *map(older_key, keys)]

        def delete(connection: Connection) -> None:
            self._remove(connection, rows)
            for first in range(0, len(late), MOST_VALUES):
                some = late[first : first + MOST_VALUES]
                places = ",".join("?" * len(some))
                connection.execute(f"UPDATE seen SET at = ? WHERE digest IN ({places})", [now, *some])

        await self._file.write(delete)

    async def purge(self) -> int:
        """Delete keys that were sent 300 seconds ago, but for those of waiting rows; return how many were looked at."""
        now = time.time_ns()
        latest = now - int((DEDUP_SECONDS + _LATE_SECONDS) * _SECOND)
        return await self._file.write(lambda connection: self._purge.some(connection, latest, now))

    async def last_handed(self) -> float | None:
        """Return when an event was appended last, in unix seconds; None if that is unknown."""
        found = await self._file.read(lambda connection: connection.execute("SELECT max(at) FROM seen").fetchone()[0])
        return None if found is None else found / _SECOND

    async def end(self, outlet: str, name: str, reason: str, now: float) -> int:
        """Note that an outlet takes no events any more, and delete those that wait for it; return how many.

        `outlet` identifies it with its address, `name` in the rows.
        """

        def end(connection: Connection) -> int:
            connection.execute("INSERT OR REPLACE INTO ended VALUES (?, ?, ?)", (outlet, now, reason))
            deletes = (f"DELETE FROM waiting_{group} WHERE outlet = ?" for group in self.kind.groups)
            return sum(connection.execute(delete, (name,)).rowcount for delete in deletes)

        return await self._file.write(end)

    async def ended(self) -> dict[str, str]:
        """Return the outlets that have ended, and why."""
        return await self._file.read(lambda connection: dict(connection.execute("SELECT outlet, reason FROM ended")))

    async def replay(self, letter: DeadLetter) -> None:
        """Move a dead letter to the waiting rows, to be sent again, unless the event was sent otherwise meanwhile."""
        await self.retry(letter, 0)

    async def retry(self, letter: DeadLetter, retries: int) -> None:
        """As `replay`; the event has come back `retries` times by itself."""
        record = msgspec.structs.replace(_decoder.decode(letter.body), retries=retries)
        key, body = self.kind.key(record), self.kind.encode(record)

        def replay(connection: Connection) -> None:
            if connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,)).rowcount:
                own = _seen_key(record)
                keys = (own, older_key(own), letter.id)
                connection.execute("DELETE FROM seen WHERE digest IN (?, ?) AND at = ?", keys)
                self._pass_others(connection)
                self._insert(connection, self.kind.group(record), [(self._next_id(), *key, body)])

        await self._file.write(replay)

    def _insert(self, connection: Connection, group: str, rows: Sequence[tuple[object, ...]]) -> list[int]:
        """Insert the rows whose keys are new; return the ids of the others."""
        if not rows:
            return []
        new = unsent(connection, rows)
        super()._insert(connection, group, [(row_id, outlet, body) for row_id, outlet, _, body in new])
        ids = {row[0] for row in new}
        return [row_id for row_id, *_ in rows if isinstance(row_id, int) and row_id not in ids]
