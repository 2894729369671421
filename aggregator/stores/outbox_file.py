"""The outbox's file: prices waiting for DynamoDB, and those it refused for good.

Waiting prices stand in one table per tier, so that giving up the oldest cold ones frees whole pages of the file. Their
ids are nanoseconds of our clock, made to increase, and so give one order across the three.
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
_UNSEEN_SHARE = 0.001  # of the bound may be appended between two looks at the size, which cost as much as an append
_INSERT_ROWS = 200  # a statement; four values each, and SQLite takes 999 at the least
_GIVE_UP_ROWS = 200  # at a time, when the file is full
_ALL = " UNION ALL ".join(f"SELECT id, body FROM (SELECT * FROM waiting_{tier.value} {{0}})" for tier in Tier)

_LAST = " UNION ALL ".join(
    f"SELECT id, body FROM (SELECT max(id) AS id, body FROM waiting_{tier.value} {{0}})" for tier in Tier
)


class Row(msgspec.Struct, frozen=True):
    """A price waiting under its id."""

    id: int
    price: Price


class DeadLetter(msgspec.Struct, frozen=True):
    """A price DynamoDB refused for good, why, and when (unix seconds)."""

    id: int
    asset: str
    timestamp: float
    refused_at: float
    reason: str
    body: str


class Size(msgspec.Struct, frozen=True):
    """How much is in the file; `oldest` is when the longest waiting row came (unix seconds), None when none waits."""

    rows: int
    oldest: float | None
    bytes: int
    dead: int


class OutboxFile:
    """The file at `path`, at most `most_bytes` large, its journal apart. Raises StoreUnavailable, open StoreRefused."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._most_bytes = most_bytes
        self._last_id = 0
        self._unseen_bytes = most_bytes  # appended since the last look at the size; at first, look

    async def open(self) -> None:
        """Create the file where missing."""
        await self._file.open()
        self._last_id = await self._file.read(_largest_id)

    async def checkpoint(self) -> None:
        """As `Database.checkpoint`."""
        await self._file.checkpoint()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file could be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self._file.close()

    async def append(self, prices: Sequence[Price]) -> Mapping[Tier, int]:
        """Put all of `prices` on disk; return how many waiting ones of each tier had to go to make room."""
        rows: dict[Tier, list[tuple[int, str, float, str]]] = {tier: [] for tier in Tier}
        for price in prices:
            body = encode(price).decode()
            rows[price.tier].append((self._next_id(), price.asset, price.timestamp, body))
            self._unseen_bytes += len(body)

        def append(connection: Connection) -> Mapping[Tier, int]:
            given_up: Mapping[Tier, int] = {}
            if self._unseen_bytes > self._most_bytes * _UNSEEN_SHARE:
                given_up = _make_room(connection, self._most_bytes)
                self._unseen_bytes = 0
            for tier, ours in rows.items():
                _insert(connection, tier, ours)
            return given_up

        return await self._file.write(append)

    async def after(self, row_id: int, limit: int) -> list[Row]:
        """Return at most `limit` rows with a larger id, the oldest first."""
        query = f"{_ALL.format('WHERE id > ?1 ORDER BY id LIMIT ?2')} ORDER BY id LIMIT ?2"
        found = await self._file.read(lambda connection: connection.execute(query, (row_id, limit)).fetchall())
        return [Row(found_id, decode_price(body)) for found_id, body in found]

    async def remove(self, rows: Sequence[Row]) -> None:
        """Take out what DynamoDB has; what is no longer there is no trouble."""
        await self._file.write(lambda connection: _remove(connection, rows))

    async def move_to_dead_letters(self, row: Row, reason: str, now: float) -> None:
        """Move a row to the dead letters."""
        dead = (row.id, row.price.asset, row.price.timestamp, now, reason, encode(row.price).decode())

        def bury(connection: Connection) -> None:
            _remove(connection, [row])
            connection.execute("INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)", dead)

        await self._file.write(bury)

    async def latest(self, symbols: Sequence[str], until: float) -> dict[str, Price]:
        """Return the newest waiting price of each symbol that has one of at most `until` (unix seconds)."""
        query = f"{_ALL.format('WHERE asset = ?1 AND timestamp <= ?2 ORDER BY timestamp DESC, id DESC LIMIT 1')}"
        found = await self._file.read(
            lambda connection: [connection.execute(query, (symbol, until)).fetchall() for symbol in symbols]
        )
        newest = (_newest_first(rows)[:1] for rows in found)
        return {price.asset: price for prices in newest for price in prices}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return at most `limit` waiting prices in the range, in order of time; of the same time, the last written."""
        order = "DESC" if newest_first else "ASC"
        # One row per time: with max(id), SQLite takes the other columns from the row that has it.
        part = (
            f"WHERE asset = ?1 AND timestamp BETWEEN ?2 AND ?3 GROUP BY timestamp ORDER BY timestamp {order} LIMIT ?4"
        )
        values = (symbol, start, end, limit)
        found = await self._file.read(lambda connection: connection.execute(_LAST.format(part), values).fetchall())
        prices = _newest_first(found)
        return (prices if newest_first else prices[::-1])[:limit]

    async def size(self) -> Size:
        """Return how much is in the file now."""
        return await self._file.read(_size)

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetter]:
        """Return at most `limit` dead letters with a larger id, the oldest first."""
        query = "SELECT * FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?"
        found = await self._file.read(lambda connection: connection.execute(query, (after, limit)).fetchall())
        return [DeadLetter(*row) for row in found]

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one dead letter."""
        found = await self.dead_letters(letter_id - 1, 1)
        return found[0] if found and found[0].id == letter_id else None

    async def replay(self, letter: DeadLetter) -> None:
        """Put a dead letter back among the waiting, to be sent again."""
        price = decode_price(letter.body)
        new = (self._next_id(), price.asset, price.timestamp, letter.body)

        def replay(connection: Connection) -> None:
            if connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,)).rowcount:
                connection.execute(f"INSERT INTO waiting_{price.tier.value} VALUES (?, ?, ?, ?)", new)

        await self._file.write(replay)

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a dead letter for good."""

        def forget(connection: Connection) -> None:
            connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter.id,))

        await self._file.write(forget)

    def _next_id(self) -> int:
        self._last_id = max(time.time_ns(), self._last_id + 1)
        return self._last_id


def _insert(connection: Connection, tier: Tier, rows: Sequence[tuple[int, str, float, str]]) -> None:
    """Insert by few statements: each hands the interpreter's lock over twice, which costs more than the SQL."""
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
    """Give up the oldest rows of the coldest tier that has any, until what waits is below the bound.

    Dead letters do not count: they are never given up, and must not push out what DynamoDB would take.
    """
    given_up: dict[Tier, int] = {}
    most_bytes += connection.execute("SELECT coalesce(sum(length(body)), 0) FROM dead_letters").fetchone()[0]
    for tier in _COLDEST_FIRST:
        oldest = f"SELECT id FROM waiting_{tier.value} ORDER BY id LIMIT {_GIVE_UP_ROWS}"
        while _bytes(connection) > most_bytes:
            gone = connection.execute(f"DELETE FROM waiting_{tier.value} WHERE id IN ({oldest})").rowcount
            if not gone:
                break
            given_up[tier] = given_up.get(tier, 0) + gone
    return given_up


def _bytes(connection: Connection) -> int:
    """Return the bytes of pages in use; free pages will be used again before the file grows."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    in_use = (pages - free) * size
    assert isinstance(in_use, int)  # noqa: S101  # they are SQLite's own
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
    """Return one price per time, the one written last, the newest first."""
    by_time: dict[float, tuple[int, Price]] = {}
    for row_id, body in rows:
        price = decode_price(body)
        known = by_time.get(price.timestamp)
        if known is None or row_id > known[0]:
            by_time[price.timestamp] = (row_id, price)
    return [by_time[timestamp][1] for timestamp in sorted(by_time, reverse=True)]
