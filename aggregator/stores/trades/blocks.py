"""Blocks of trades in SQLite: a row has many trades of one asset, in the order of their keys.

A row for each trade would cost five times as much a trade (tests/bench/trade_writes.py). Blocks are appended to the
table, and each of the two indexes gets one entry for a block. Blocks may overlap in time, and may have the same trade
twice: a read merges them. No block crosses an hour, so a read knows which blocks can have a time.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from aggregator.models import Trade, TradeKey, encode, trade_key
from aggregator.stores.database import Connection

SCHEMA = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX blocks_by_first ON blocks (asset, first, last);
CREATE INDEX blocks_by_last ON blocks (asset, last, first)
"""
"""`first` and `last` are the times of the first and the last trade, in microseconds. `body` is a JSON array."""

_MOST = 500  # trades of a block, of which a read may need one
_MOST_ROWS = 64  # of an insert
_INSERTS = [
    f"INSERT INTO blocks (asset, first, last, body) VALUES {','.join(['(?,?,?,?)'] * rows)}"  # noqa: S608  # of constants
    for rows in range(_MOST_ROWS + 1)
]
"""By number of rows. One statement for all of them: the thread waits in each for the interpreter's lock."""

_OLDEST_FIRST = """
SELECT first, body FROM blocks INDEXED BY blocks_by_first
WHERE asset = ? AND first BETWEEN ? AND ? AND last >= ? ORDER BY first
"""
_NEWEST_FIRST = """
SELECT last, body FROM blocks INDEXED BY blocks_by_last
WHERE asset = ? AND last BETWEEN ? AND ? AND first <= ? ORDER BY last DESC
"""
_EXPIRE = """
DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE asset = ? AND last < ? ORDER BY last LIMIT ?)
"""
_MICROSECONDS = 1_000_000
BlockRow = tuple[str, int, int, bytes]
_HOUR = 3600 * _MICROSECONDS
_LAST_SECOND = 1e12

_decoder = msgspec.json.Decoder(list[Trade])


class BlockKey(msgspec.Struct, gc=False):
    """The part of a trade in JSON that tells it from others of its asset."""

    timestamp: float
    venue: str
    id: str


_keys_decoder = msgspec.json.Decoder(list[BlockKey])


def decode_trades(body: bytes) -> list[Trade]:
    """Return the trades of a JSON array. Raises msgspec.DecodeError."""
    return _decoder.decode(body)


def decode_keys(body: bytes) -> list[BlockKey]:
    """Return the keys of the trades of a JSON array. Raises msgspec.DecodeError."""
    return _keys_decoder.decode(body)


def microseconds(timestamp: float) -> int:
    """Return whole microseconds; a time beyond what a row can hold becomes its first or last one."""
    return round(min(max(timestamp, 0.0), _LAST_SECOND) * _MICROSECONDS)


def block_rows(lists: Iterable[Sequence[Trade]]) -> list[BlockRow]:
    """Return trades as rows of the table; each list has those of one asset, in the order of their keys."""
    return [
        (block[0].asset, microseconds(block[0].timestamp), microseconds(block[-1].timestamp), encode(block))
        for trades in lists
        for block in _blocks(trades)
    ]


def insert_blocks(connection: Connection, rows: Sequence[BlockRow]) -> None:
    """Add rows."""
    for first in range(0, len(rows), _MOST_ROWS):
        some = rows[first : first + _MOST_ROWS]
        connection.execute(_INSERTS[len(some)], list(chain.from_iterable(some)))


def read_page(
    connection: Connection,
    asset: str,
    start: float,
    end: float,
    limit: int,
    *,
    newest_first: bool,
    after: TradeKey | None = None,
) -> list[Trade]:
    """Return a page of trades, as `TradeReader.trades`."""
    if after is not None:
        start, end = (start, min(end, after.timestamp)) if newest_first else (max(start, after.timestamp), end)
    found: dict[tuple[float, str, str], Trade] = {}
    for edge, body in _rows(connection, asset, start, end, newest_first=newest_first):
        if len(found) >= limit and _before(found.values(), edge, newest_first=newest_first) >= limit:
            break
        for trade in decode_trades(body):
            key = (trade.timestamp, trade.venue, trade.id)
            if start <= key[0] <= end and (after is None or (key < after if newest_first else key > after)):
                found.setdefault(key, trade)
    return [found[key] for key in sorted(found, reverse=newest_first)[:limit]]


def newest_time(connection: Connection, asset: str) -> float | None:
    """Return the time of the newest trade of an asset; None without one."""
    last = connection.execute("SELECT max(last) FROM blocks WHERE asset = ?", (asset,)).fetchone()[0]
    return None if last is None else last / _MICROSECONDS


class StoredKeys:
    """Tells whether blocks have a trade. It keeps the keys of the blocks that it has read, of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._blocks: dict[int, set[TradeKey]] = {}

    def has(self, trade: Trade) -> bool:
        """Whether a block has a trade with the key of this one."""
        at = microseconds(trade.timestamp)
        blocks = self._connection.execute(
            "SELECT id FROM blocks WHERE asset = ? AND last BETWEEN ? AND ? AND first <= ?",
            (trade.asset, at, _end_of_hour(at), at),
        ).fetchall()
        return any(trade_key(trade) in self._keys(block) for (block,) in blocks)

    def _keys(self, block: int) -> set[TradeKey]:
        keys = self._blocks.get(block)
        if keys is None:
            (body,) = self._connection.execute("SELECT body FROM blocks WHERE id = ?", (block,)).fetchone()
            keys = {TradeKey(one.timestamp, one.venue, one.id) for one in decode_keys(body)}
            self._blocks[block] = keys
        return keys


def stored_assets(connection: Connection) -> list[str]:
    """Return the assets that have blocks, each found by one look into the index."""
    found: list[str] = []
    while row := connection.execute(
        "SELECT asset FROM blocks WHERE asset > ? ORDER BY asset LIMIT 1", (found[-1] if found else "",)
    ).fetchone():
        found.append(row[0])
    return found


def expire_blocks(connection: Connection, asset: str, before: float, most: int) -> int:
    """Delete blocks of which all trades are older than `before`, at most `most`; return how many."""
    return connection.execute(_EXPIRE, (asset, microseconds(before), most)).rowcount


def _blocks(trades: Sequence[Trade]) -> Iterator[Sequence[Trade]]:
    """Yield parts of at most _MOST trades that do not cross an hour."""
    start = 0
    while start < len(trades):
        end = min(start + _MOST, len(trades))
        hour = microseconds(trades[start].timestamp) // _HOUR
        if microseconds(trades[end - 1].timestamp) // _HOUR != hour:
            end = bisect_right(trades, hour, start, end, key=_hour_of)
        yield trades[start:end]
        start = end


def _hour_of(trade: Trade) -> int:
    return microseconds(trade.timestamp) // _HOUR


def _rows(
    connection: Connection, asset: str, start: float, end: float, *, newest_first: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks that may have trades of a range: the time at which each begins in the order, and its body."""
    first, last = microseconds(start), microseconds(end)
    if newest_first:
        yield from connection.execute(_NEWEST_FIRST, (asset, first, _end_of_hour(last), last))
    else:
        yield from connection.execute(_OLDEST_FIRST, (asset, first - first % _HOUR, last, first))


def _before(found: Iterable[Trade], edge: int, *, newest_first: bool) -> int:
    """Return how many trades come before all trades of a block that begins at `edge` in the order."""
    if newest_first:
        return sum(microseconds(trade.timestamp) > edge for trade in found)
    return sum(microseconds(trade.timestamp) < edge for trade in found)


def _end_of_hour(at: int) -> int:
    return at - at % _HOUR + _HOUR - 1
