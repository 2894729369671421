"""`sqlite:///file.db`: trades in a local SQLite file.

    add -> table journal (a row for each call; durable) and memory -> table blocks, many trades of one asset in a row

A start reads the journal back. Processes on one machine may share a file: each knows what the others have in the
journal, so a key is stored once, whichever of them gets it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.models import Trade, TradeKey, encode, trade_key
from aggregator.stores.database import Connection, Database
from aggregator.stores.definition import FILE_REMEDY, OpenStep
from aggregator.stores.sqlite import parse_sqlite_url
from aggregator.stores.trades import blocks, journal
from aggregator.stores.trades.block_lines import read_lines
from aggregator.stores.trades.blocks import BlockRow
from aggregator.stores.trades.definition import (
    CreatedTradeReader,
    CreatedTradeStore,
    TradeStoreKind,
    TradeStoreParts,
    nothing_longer,
)
from aggregator.stores.trades.foreign_rows import ForeignRow
from aggregator.stores.trades.journal import Journal, News
from aggregator.stores.trades.new_trades import new_trades, not_moved, without_foreign
from aggregator.stores.trades.pending import Candidates, Move, PendingTrades, Row
from aggregator.trades.ports import TradeLines

_SCHEMA = f"{journal.SCHEMA};{blocks.SCHEMA}"
_VERSION = 2
_MOST_LINES = 5000  # of a read, and those of one more block
_MOST_EXPIRED = 200  # blocks deleted in one transaction, for which writes have to wait
_TICK_SECONDS = 1.0
_REST_SECONDS = 60.0  # without a move by a write, then trades are moved in the background; the more, the fewer blocks
_SWEEP_TICKS = 600


class _Written(msgspec.Struct, frozen=True):
    """The outcome of a transaction: the new trades, their row of the journal, and what was found out about others."""

    new: Sequence[Trade]
    row: int | None
    news: News
    newest: dict[str, float | None]


class _Prepared(msgspec.Struct, frozen=True):
    """Reads and encodings made before a transaction: the rows of others, the new candidates, the bodies of all rows."""

    news: News
    newest: dict[str, float | None]
    new: Sequence[Trade]
    body: bytes
    blocks: Sequence[BlockRow]


class SqliteTrades:
    """`aggregator.trades.ports.TradeStore` in a SQLite file. `retention` is in seconds, by the time of a trade.

    Trades from `keep_from()` on are kept longer, as in TradeStoreParts.
    """

    name = "sqlite"

    def __init__(
        self,
        path: Path,
        retention: float,
        now: Callable[[], float] = time.time,
        keep_from: Callable[[], float] = nothing_longer,
    ) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._retention = retention
        self._now = now
        self._keep_from = keep_from
        self._journal = Journal(path)
        self._pending = PendingTrades()
        self._moved_at = 0.0
        self._has_written = False  # since the last checkpoint
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Create file and tables where missing, and read the journal. Raises StoreRefused and StoreUnavailable."""
        await self._file.open()
        news = await self._file.read(self._journal.news)
        self._journal.committed(news, None)
        self._pending.add_foreign(news.rows, -inf)  # there may be no other process to move them

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`. A cancelled call goes on, so that memory has what the journal has."""
        return await asyncio.shield(self._add(trades))

    async def _add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        async with self._lock:
            candidates = self._pending.candidates(trades)
            move = self._pending.next_move(len(trades), time.monotonic())
            return await self._commit(candidates, move)

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`."""
        page = (asset, max(start, self._oldest()), end, limit)
        between = partial(self._pending.between, *page, newest_first=newest_first, after=after)
        # Memory and journal first: a trade that moves to a block between the reads is then read twice, not missed.
        waiting, last = between(), self._last_row()

        def read(connection: Connection) -> tuple[list[ForeignRow], list[Trade]]:
            rows = self._journal.rows_after(connection, last)
            return rows, blocks.read_page(connection, *page, newest_first=newest_first, after=after)

        rows, stored = await self._file.read(read)
        if rows:
            self._pending.add_foreign(rows, time.monotonic())
            waiting += between()
        if not waiting:
            return stored
        both = {(one.timestamp, one.venue, one.id): one for one in [*waiting, *stored]}
        return [both[key] for key in sorted(both, reverse=newest_first)[:limit]]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`."""
        start, last = self._oldest(), self._last_row()
        waiting = self._last_waiting(assets, start)

        def read(connection: Connection) -> tuple[list[ForeignRow], list[Trade]]:
            rows = self._journal.rows_after(connection, last)
            pages = [blocks.read_page(connection, asset, start, inf, 1, newest_first=True) for asset in assets]
            return rows, [trade for page in pages for trade in page]

        rows, stored = await self._file.read(read)
        if rows:
            self._pending.add_foreign(rows, time.monotonic())
            waiting += self._last_waiting(assets, start)
        return {trade.asset: trade for trade in sorted([*stored, *waiting], key=trade_key)}

    async def lines(self, asset: str, start: float, end: float, after: int | None = None) -> TradeLines | None:
        """As `LineReader.lines`: None while trades of the range wait for their block."""
        start, last = max(start, self._oldest()), self._last_row()
        if after is None and self._has_waiting(asset, start, end):
            return None

        def read(connection: Connection) -> tuple[list[ForeignRow], TradeLines]:
            rows = self._journal.rows_after(connection, last)
            return rows, read_lines(connection, asset, start, end, -1 if after is None else after, _MOST_LINES)

        rows, found = await self._file.read(read)
        self._pending.add_foreign(rows, time.monotonic())
        return None if after is None and self._has_waiting(asset, start, end) else found

    async def run(self) -> None:
        """Move trades into blocks, checkpoint the file, and delete old trades every ten minutes; never returns."""
        log, is_failing, ticks = structlog.get_logger(), False, 0
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
        """Move trades into blocks unless writes do so already, and checkpoint the file."""
        if time.monotonic() - self._moved_at > _REST_SECONDS:
            await asyncio.shield(self._move_rest())
        if self._pending.last_foreign:
            async with self._lock:  # else a write that has read the newest times before could miss what has moved since
                self._pending.keep_foreign(await self._file.read(journal.row_ids))
        if self._has_written:
            self._has_written = False
            await self._file.checkpoint()

    async def _move_rest(self) -> None:
        async with self._lock:
            move = self._pending.rest(time.monotonic())
            if move.lists:
                await self._commit(Candidates((), (), ()), move)

    async def expire(self) -> None:
        """Delete blocks of trades that are all older than the retention; reads leave out the others."""
        before = self._oldest()
        for asset in await self._file.read(blocks.stored_assets):
            gone = _MOST_EXPIRED
            while gone == _MOST_EXPIRED:  # a transaction at a time, so that writes wait for a short time only
                gone = await self._file.write(
                    partial(blocks.expire_blocks, asset=asset, before=before, most=_MOST_EXPIRED)
                )

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Wait for the write under way and close the file; what waits is in the journal."""
        async with self._lock:
            await self._file.close()

    async def _commit(self, candidates: Candidates, move: Move) -> Sequence[Trade]:
        """Write new trades and a move in one transaction, then note both in memory. The caller holds the lock."""
        written = await self._file.write_prepared(
            lambda connection: self._prepare(connection, candidates, move),
            lambda connection, prepared: self._write(connection, candidates, move, prepared),
        )
        self._has_written = True
        self._journal.committed(written.news, written.row)
        if written.news.is_gap:
            self._pending.forget_newest()
        self._pending.add_foreign(written.news.rows, time.monotonic())
        if written.row is not None:
            self._pending.add(Row(written.row, written.new))
        self._pending.learn_newest(written.newest)
        if move.lists:
            self._pending.remove(move)
            self._moved_at = time.monotonic()
        return written.new

    def _prepare(self, connection: Connection, candidates: Candidates, move: Move) -> _Prepared:
        """Find the candidates that are stored nowhere yet, and encode them and what is moved.

        Other processes wait for the transaction, so it only examines the rows that they have written since.
        """
        news = self._journal.early_news(connection)
        newest, new = new_trades(connection, candidates, news)
        rows = [] if move.is_adopted else blocks.block_rows(move.lists)
        return _Prepared(news, newest, new, encode(new), rows)

    def _write(self, connection: Connection, candidates: Candidates, move: Move, prepared: _Prepared) -> _Written:
        """Append to the journal those trades that are stored nowhere yet, and move others into blocks."""
        news = self._journal.news(connection, prepared.news)
        newest, new, body = prepared.newest, prepared.new, prepared.body
        if news.is_gap and not prepared.news.is_gap:
            newest, new = new_trades(connection, candidates, news)
            body = encode(new)
        elif (
            news is not prepared.news
            and (left := without_foreign(new, news.rows[len(prepared.news.rows) :])) is not new
        ):
            new, body = left, encode(left)
        row = self._journal.append(connection, body) if new else None
        rows = blocks.block_rows(not_moved(connection, move)) if move.is_adopted else prepared.blocks
        blocks.insert_blocks(connection, rows)
        journal.delete_rows(connection, move.rows)
        return _Written(new, row, news, newest)

    def _has_waiting(self, asset: str, start: float, end: float) -> bool:
        return bool(self._pending.between(asset, start, end, 1, newest_first=False, after=None))

    def _last_waiting(self, assets: Sequence[str], start: float) -> list[Trade]:
        return [
            trade
            for asset in assets
            for trade in self._pending.between(asset, start, inf, 1, newest_first=True, after=None)
        ]

    def _last_row(self) -> int:
        """Return the last row of the journal of which memory has the trades, as of all before."""
        return max(self._journal.last, self._pending.last_foreign)

    def _oldest(self) -> float:
        return min(self._now() - self._retention, self._keep_from())


def _create(url: str, parts: TradeStoreParts) -> CreatedTradeStore:
    store = SqliteTrades(parse_sqlite_url(url), parts.retention, parts.now, parts.keep_from)
    return CreatedTradeStore(store, [OpenStep(store.open, FILE_REMEDY, "trades_url")])


def _create_reader(url: str, parts: TradeStoreParts) -> CreatedTradeReader:
    store, open_steps = _create(url, parts)
    return CreatedTradeReader(store, open_steps, store.close, upkeep=store)


SQLITE = TradeStoreKind(
    example="sqlite:///trades.db",
    form="sqlite:///trades.db (relative path; //// for an absolute one)",
    check=parse_sqlite_url,
    create=_create,
    create_reader=_create_reader,
)
