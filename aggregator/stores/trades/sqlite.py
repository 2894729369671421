"""`sqlite:///file.db`: trades in a local SQLite file, sorted by asset and time.

    add -> table journal (one row per call; durable) and memory -> table trades, many of one asset at a time

The journal is there because writes into the sorted table cost a page for each asset: one trade of each of a thousand
assets takes five times as long a trade as fifty of each (tests/bench/trade_writes.py). A start reads the journal back.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import msgspec
import structlog

from aggregator.errors import StoreError, StoreRefused
from aggregator.models import Side, Trade, TradeKey, encode, trade_key
from aggregator.stores.database import Connection, Database
from aggregator.stores.definition import FILE_REMEDY, OpenStep
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.stores.trades.definition import CreatedTradeStore, TradeStoreKind, TradeStoreParts
from aggregator.stores.trades.pending import Move, PendingTrades

_SCHEMA = """
CREATE TABLE trades (
    asset TEXT NOT NULL,
    time INTEGER NOT NULL,
    venue TEXT NOT NULL,
    id TEXT NOT NULL,
    price TEXT NOT NULL,
    volume TEXT,
    side TEXT,
    sequence INTEGER,
    late INTEGER NOT NULL,
    PRIMARY KEY (asset, time, venue, id)
) WITHOUT ROWID;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL
)
"""
_VERSION = 1
_CHUNKS = (500, 50, 5, 1)  # rows of an insert: few calls, for each of which the thread waits for the interpreter's lock
_INSERTS = {
    rows: f"INSERT INTO trades VALUES {','.join(['(?,?,?,?,?,?,?,?,?)'] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608  # of constants
    for rows in _CHUNKS
}
_SELECT = """
SELECT asset, time, venue, id, price, volume, side, sequence, late FROM trades
WHERE asset = ? AND time BETWEEN ? AND ? AND (time, venue, id) {0} (?, ?, ?)
ORDER BY time {1}, venue {1}, id {1} LIMIT ?
"""
_LATEST = """
SELECT asset, time, venue, id, price, volume, side, sequence, late FROM trades
WHERE asset = ? ORDER BY time DESC, venue DESC, id DESC LIMIT 1
"""
_HAS = "SELECT 1 FROM trades WHERE asset = ? AND time = ? AND venue = ? AND id = ?"
_EXPIRE = """
DELETE FROM trades WHERE (asset, time, venue, id) IN (
    SELECT asset, time, venue, id FROM trades WHERE asset = ? AND time < ? ORDER BY time LIMIT ?)
"""
_MOST_EXPIRED = 2000  # rows deleted in one transaction, for which writes have to wait
_MICROSECONDS = 1_000_000
_LAST_SECOND = 1e12
_NEVER = -1.0
_FIRST_KEY, _LAST_KEY = (-1, "", ""), (1 << 62, "", "")
_TICK_SECONDS = 1.0
_REST_SECONDS = 5.0  # without a move by a write, after which trades are moved in the background
_SWEEP_TICKS = 600

_decoder = msgspec.json.Decoder(list[Trade])


class SqliteTrades:
    """`aggregator.trades.ports.TradeStore` in a SQLite file. `retention` is in seconds, by the time of a trade."""

    name = "sqlite"

    def __init__(self, path: Path, retention: float, now: Callable[[], float] = time.time) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._retention = retention
        self._now = now
        self._pending = PendingTrades()
        self._newest: dict[str, float] = {}  # no trade of the asset in the sorted table is newer
        self._journal_id = 0
        self._moved_at = 0.0
        self._has_written = False  # since the last checkpoint
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Create file and tables where missing, and read the journal. Raises StoreRefused and StoreUnavailable."""
        await self._file.open()
        bodies = await self._file.read(_read_journal)
        try:
            for self._journal_id, body in bodies:
                for trade in self._pending.unknown(_decoder.decode(body)):
                    self._pending.add(trade, self._journal_id)
        except msgspec.DecodeError as error:
            raise StoreRefused(f"the journal of {self._file.path} holds something else than trades: {error}") from error

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`. A cancelled call goes on, so that memory has what the journal has."""
        return await asyncio.shield(self._add(trades))

    async def _add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        async with self._lock:
            unknown, move = self._pending.unknown(trades), self._pending.next_move(len(trades))
            new = await self._file.write(lambda connection: self._write(connection, unknown, move))
            self._has_written = True
            self._journal_id += bool(new)
            for trade in new:
                self._pending.add(trade, self._journal_id)
            self._finish(move)
            return new

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`."""
        waiting = self._pending.between(asset, start, end, newest_first=newest_first, after=after)
        key = (_LAST_KEY if newest_first else _FIRST_KEY) if after is None else (_whole(after[0]), *after[1:])
        query = _SELECT.format("<" if newest_first else ">", "DESC" if newest_first else "ASC")
        values = (asset, _whole(start), _whole(end), *key, limit)
        rows = await self._file.read(lambda connection: connection.execute(query, values).fetchall())
        both = merge(map(_trade, rows), waiting, key=trade_key, reverse=newest_first)
        return [next(same) for _, same in islice(groupby(both, trade_key), limit)]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`."""
        waiting = [trade for asset in assets if (trade := self._pending.latest(asset)) is not None]
        rows = await self._file.read(
            lambda connection: [row for asset in assets for row in connection.execute(_LATEST, (asset,))]
        )
        in_order = sorted([*map(_trade, rows), *waiting], key=trade_key)
        return {trade.asset: trade for trade in in_order}

    async def run(self) -> None:
        """Move trades into the sorted table while few come, delete old ones, checkpoint; never returns."""
        log, ticks, is_failing = structlog.get_logger(), 0, False
        while True:
            try:
                await self.tidy()
                if ticks % _SWEEP_TICKS == 0:
                    await self.expire()
            except StoreError as error:
                if not is_failing:
                    log.warning("trades_not_tidied", error=str(error))
                is_failing = True
            else:
                is_failing = False
            ticks += 1
            await asyncio.sleep(_TICK_SECONDS)

    async def tidy(self) -> None:
        """Move trades into the sorted table unless writes do so already, and checkpoint the file."""
        if time.monotonic() - self._moved_at > _REST_SECONDS:
            await asyncio.shield(self._move_rest())
        if self._has_written:
            self._has_written = False
            await self._file.checkpoint()

    async def _move_rest(self) -> None:
        async with self._lock:
            move = self._pending.rest()
            if move.trades:
                await self._file.write(lambda connection: self._write(connection, [], move))
                self._has_written = True
                self._finish(move)

    async def expire(self) -> None:
        """Delete the trades that are older than the retention."""
        before = _whole(self._now() - self._retention)
        for asset in await self._file.read(_assets):
            gone = _MOST_EXPIRED
            while gone == _MOST_EXPIRED:  # a transaction at a time, so that writes wait for a short time only
                gone = await self._file.write(partial(_expire, asset=asset, before=before))

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Wait for the write under way and close the file; what waits is in the journal."""
        async with self._lock:
            await self._file.close()

    def _write(self, connection: Connection, unknown: Sequence[Trade], move: Move) -> list[Trade]:
        """Append to the journal those trades that the sorted table does not have, and move others into that table."""
        new = [trade for trade in unknown if not self._is_sorted(connection, trade)]
        if new:
            connection.execute("INSERT INTO journal (id, body) VALUES (?, ?)", (self._journal_id + 1, encode(new)))
        _insert(connection, move.trades)
        if move.until is not None:
            connection.execute("DELETE FROM journal WHERE id <= ?", (move.until,))
        return new

    def _is_sorted(self, connection: Connection, trade: Trade) -> bool:
        """Whether the sorted table has the trade. Asks the table only if that has a trade as new as this one."""
        newest = self._newest.get(trade.asset)
        if newest is None:
            found = connection.execute("SELECT max(time) FROM trades WHERE asset = ?", (trade.asset,)).fetchone()[0]
            newest = self._newest[trade.asset] = _NEVER if found is None else found / _MICROSECONDS
        if trade.timestamp > newest:
            return False
        key = (trade.asset, _whole(trade.timestamp), trade.venue, trade.id)
        return bool(connection.execute(_HAS, key).fetchone())

    def _finish(self, move: Move) -> None:
        """Note that a move has been committed."""
        if move.trades:
            self._pending.remove(move)
            self._moved_at = time.monotonic()
            newest = self._newest
            for trade in move.trades:
                known = newest.get(trade.asset)  # of an asset without one, the next write asks the table
                if known is not None and trade.timestamp > known:
                    newest[trade.asset] = trade.timestamp


def _insert(connection: Connection, trades: Sequence[Trade]) -> None:
    place = 0
    for rows in _CHUNKS:
        while len(trades) - place >= rows:
            some = trades[place : place + rows]
            connection.execute(_INSERTS[rows], [value for trade in some for value in _row(trade)])
            place += rows


def _row(trade: Trade) -> tuple[object, ...]:
    return (
        trade.asset,
        round(trade.timestamp * _MICROSECONDS),
        trade.venue,
        trade.id,
        str(trade.price),
        None if trade.volume is None else str(trade.volume),
        trade.side,
        trade.sequence,
        trade.late,
    )


def _trade(row: tuple[Any, ...]) -> Trade:
    asset, at, venue, trade_id, price, volume, side, sequence, late = row
    return Trade(
        asset,
        Decimal(price),
        None if volume is None else Decimal(volume),
        at / _MICROSECONDS,
        venue,
        trade_id,
        None if side is None else Side(side),
        sequence,
        bool(late),
    )


def _whole(timestamp: float) -> int:
    """Return microseconds; a time beyond what the table can hold becomes its first or last one."""
    return round(min(max(timestamp, 0.0), _LAST_SECOND) * _MICROSECONDS)


def _read_journal(connection: Connection) -> list[tuple[int, bytes]]:
    return connection.execute("SELECT id, body FROM journal ORDER BY id").fetchall()


def _assets(connection: Connection) -> list[str]:
    """Return the assets of the sorted table, each found by one look into its key."""
    found: list[str] = []
    while row := connection.execute(
        "SELECT asset FROM trades WHERE asset > ? ORDER BY asset LIMIT 1", (found[-1] if found else "",)
    ).fetchone():
        found.append(row[0])
    return found


def _expire(connection: Connection, asset: str, before: int) -> int:
    return connection.execute(_EXPIRE, (asset, before, _MOST_EXPIRED)).rowcount


def _create(url: str, parts: TradeStoreParts) -> CreatedTradeStore:
    store = SqliteTrades(parse_sqlite_url(url), parts.retention, parts.now)
    return CreatedTradeStore(store, [OpenStep(store.open, FILE_REMEDY, "trades_url")])


SQLITE = TradeStoreKind(
    example="sqlite:///trades.db",
    form="sqlite:///trades.db (relative path; //// for an absolute one)",
    check=parse_sqlite_url,
    create=_create,
)
