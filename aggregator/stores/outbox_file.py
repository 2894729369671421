"""The outbox's SQLite file: rows that wait for the remote table, and dead letters, which it refused.

There is one SQL table of waiting rows per tier, so that deleting the oldest cold rows frees whole pages of the file. A
row's id is the time of writing in nanoseconds, increased where needed, so ids give one order across the three.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from aggregator.models import Price, Tier, decode_price, encode
from aggregator.stores.database import Connection, Database

_WAITING = """
CREATE TABLE waiting_{tier} (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX waiting_{tier}_by_asset ON waiting_{tier} (asset, timestamp);
"""
_DEAD = """
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    refused_at REAL NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
)
"""
_SCHEMA = "".join(_WAITING.format(tier=tier.value) for tier in Tier) + _DEAD
_VERSION = 1

_COLDEST_FIRST = tuple(reversed(Tier))
_UNCHECKED_SHARE = 0.001  # of the bound, appended between two checks of the size; a check costs as much as an append
_INSERT_ROWS = 200  # in one statement; a row is four values, and any SQLite takes 999
_DROP_ROWS = 200  # deleted at a time when the file is full
_ALL = " UNION ALL ".join(f"SELECT id, body FROM (SELECT * FROM waiting_{tier.value} {{0}})" for tier in Tier)

_LAST_OF_TIME = " UNION ALL ".join(
    f"SELECT id, body FROM (SELECT max(id) AS id, body FROM waiting_{tier.value} {{0}})" for tier in Tier
)


class Row(msgspec.Struct, frozen=True):
    """A waiting price and its id."""

    id: int
    price: Price


class DeadLetter(msgspec.Struct, frozen=True):
    """A price that the remote table refused: why, and when (unix seconds). `body` is the price's JSON."""

    id: int
    asset: str
    timestamp: float
    refused_at: float
    reason: str
    body: str


class Size(msgspec.Struct, frozen=True):
    """What is in the file. `oldest` is when the oldest waiting row was written (unix seconds), None without any."""

    rows: int
    oldest: float | None
    bytes: int
    dead: int


class OutboxFile:
    """The file at `path`, at most `most_bytes` large without its journal. Raises StoreError."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._most_bytes = most_bytes
        self._last_id = 0
        self._unchecked_bytes = most_bytes  # appended since the last check of the size; the first append checks

    async def open(self) -> None:
        """Create the file if it is missing."""
        await self._file.open()
        self._last_id = await self._file.read(_largest_id)

    async def checkpoint(self) -> None:
        """As `Database.checkpoint`."""
        await self._file.checkpoint()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Wait for the work under way and close the file."""
        await self._file.close()

    async def append(self, prices: Sequence[Price]) -> Mapping[Tier, int]:
        """Write all of `prices`; return how many waiting rows of each tier were deleted to make room."""
        rows: dict[Tier, list[tuple[int, str, float, str]]] = {tier: [] for tier in Tier}
        for price in prices:
            body = encode(price).decode()
            rows[price.tier].append((self._next_id(), price.asset, price.timestamp, body))
            self._unchecked_bytes += len(body)

        def append(connection: Connection) -> Mapping[Tier, int]:
            deleted: Mapping[Tier, int] = {}
            if self._unchecked_bytes > self._most_bytes * _UNCHECKED_SHARE:
                deleted = _make_room(connection, self._most_bytes)
                self._unchecked_bytes = 0
            for tier, ours in rows.items():
                _insert(connection, tier, ours)
            return deleted

        return await self._file.write(append)

    async def after(self, row_id: int, limit: int) -> list[Row]:
        """Return at most `limit` rows with a larger id, the oldest first."""
        query = f"{_ALL.format('WHERE id > ?1 ORDER BY id LIMIT ?2')} ORDER BY id LIMIT ?2"
        found = await self._file.read(lambda connection: connection.execute(query, (row_id, limit)).fetchall())
        return [Row(found_id, decode_price(body)) for found_id, body in found]

    async def remove(self, rows: Sequence[Row]) -> None:
        """Delete rows that the remote table has taken; rows that are not there are ignored."""
        await self._file.write(lambda connection: _remove(connection, rows))

    async def move_to_dead_letters(self, row: Row, reason: str, now: float) -> None:
        """Move a row to the dead letters."""
        dead = (row.id, row.price.asset, row.price.timestamp, now, reason, encode(row.price).decode())

        def move(connection: Connection) -> None:
            _remove(connection, [row])
            connection.execute("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", dead)

        await self._file.write(move)

    async def latest(self, symbols: Sequence[str], until: float) -> dict[str, Price]:
        """Return each symbol's newest waiting price that is not later than `until` (unix seconds)."""
        query = f"{_ALL.format('WHERE asset = ?1 AND timestamp <= ?2 ORDER BY timestamp DESC, id DESC LIMIT 1')}"
        found = await self._file.read(
            lambda connection: [connection.execute(query, (symbol, until)).fetchall() for symbol in symbols]
        )
        newest = (_newest_first(rows)[:1] for rows in found)
        return {price.asset: price for prices in newest for price in prices}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`, of waiting prices; of two with the same time, the one written last."""
        order = "DESC" if newest_first else "ASC"
        # One row per time: with max(id), SQLite takes the other columns from the row that has the largest id.
        part = (
            f"WHERE asset = ?1 AND timestamp BETWEEN ?2 AND ?3 GROUP BY timestamp ORDER BY timestamp {order} LIMIT ?4"
        )
        values = (symbol, start, end, limit)
        found = await self._file.read(
            lambda connection: connection.execute(_LAST_OF_TIME.format(part), values).fetchall()
        )
        prices = _newest_first(found)
        return (prices if newest_first else prices[::-1])[:limit]

    async def size(self) -> Size:
        """Return what is in the file now."""
        return await self._file.read(_size)

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
        price = decode_price(letter.body)
        new = (self._next_id(), price.asset, price.timestamp, letter.body)

        def replay(connection: Connection) -> None:
            if connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,)).rowcount:
                connection.execute(f"INSERT INTO waiting_{price.tier.value} VALUES (?, ?, ?, ?)", new)

        await self._file.write(replay)

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""

        def forget(connection: Connection) -> None:
            connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,))

        await self._file.write(forget)

    def _next_id(self) -> int:
        self._last_id = max(time.time_ns(), self._last_id + 1)
        return self._last_id


def _insert(connection: Connection, tier: Tier, rows: Sequence[tuple[int, str, float, str]]) -> None:
    """Insert with few statements: each releases and takes the interpreter's lock, which costs more than the SQL."""
    for first in range(0, len(rows), _INSERT_ROWS):
        some = rows[first : first + _INSERT_ROWS]
        places = ",".join(["(?, ?, ?, ?)"] * len(some))
        connection.execute(
            f"INSERT INTO waiting_{tier.value} VALUES {places}", [value for row in some for value in row]
        )


def _largest_id(connection: Connection) -> int:
    largest = (connection.execute(f"SELECT max(id) FROM waiting_{tier.value}").fetchone()[0] for tier in Tier)
    return max((found for found in largest if found is not None), default=0)


def _remove(connection: Connection, rows: Sequence[Row]) -> None:
    for tier in Tier:
        ids = [row.id for row in rows if row.price.tier is tier]
        if ids:
            places = ",".join("?" * len(ids))
            connection.execute(f"DELETE FROM waiting_{tier.value} WHERE id IN ({places})", ids)


def _make_room(connection: Connection, most_bytes: int) -> Mapping[Tier, int]:
    """Delete the oldest rows of the coldest tier that has any, until the waiting rows are below the bound.

    Return how many rows of each tier were deleted. Dead letters do not count: they are never deleted to make room, and
    must not displace rows that the table would take.
    """
    deleted: dict[Tier, int] = {}
    most_bytes += connection.execute("SELECT coalesce(sum(length(body)), 0) FROM dead_letters").fetchone()[0]
    for tier in _COLDEST_FIRST:
        oldest = f"SELECT id FROM waiting_{tier.value} ORDER BY id LIMIT {_DROP_ROWS}"
        while _bytes(connection) > most_bytes:
            gone = connection.execute(f"DELETE FROM waiting_{tier.value} WHERE id IN ({oldest})").rowcount
            if not gone:
                break
            deleted[tier] = deleted.get(tier, 0) + gone
    return deleted


def _bytes(connection: Connection) -> int:
    """Return the bytes of the pages in use; SQLite reuses free pages before the file grows."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    in_use = (pages - free) * size
    assert isinstance(in_use, int)  # noqa: S101  # SQLite returns ints
    return in_use


def _size(connection: Connection) -> Size:
    counts, oldest = 0, []
    for tier in Tier:
        count, first = connection.execute(f"SELECT count(*), min(id) FROM waiting_{tier.value}").fetchone()
        counts += count
        oldest += [first] if first is not None else []
    dead = connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
    return Size(counts, min(oldest) / 1e9 if oldest else None, _bytes(connection), dead)


def _newest_first(rows: Iterable[tuple[int, str]]) -> list[Price]:
    """Return one price per time, the one written last; newest first."""
    by_time: dict[float, tuple[int, Price]] = {}
    for row_id, body in rows:
        price = decode_price(body)
        known = by_time.get(price.timestamp)
        if known is None or row_id > known[0]:
            by_time[price.timestamp] = (row_id, price)
    return [by_time[timestamp][1] for timestamp in sorted(by_time, reverse=True)]
