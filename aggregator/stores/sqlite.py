"""`sqlite:///file.db`: history in a local SQLite file."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from aggregator.errors import StoreError, StoreRefused
from aggregator.models import FUTURE_TOLERANCE, Price, decode_price, encode
from aggregator.observability.trouble_log import TroubleLog
from aggregator.ports import PriceSummary
from aggregator.prices.bars import Bars
from aggregator.stores.database import Connection, Database
from aggregator.stores.definition import FILE_REMEDY, CreatedHistory, HistoryParts, HistoryStore, OpenStep
from aggregator.stores.sqlite_bars import create_tables, due_assets, expire_bars, is_due, read_bars, roll

# `body` is the price's JSON: one mapping, exact decimals, and json_extract reads its fields in SQL.
_SCHEMA = """
CREATE TABLE prices (
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    updated_at REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (asset, timestamp)
);
CREATE INDEX prices_by_age ON prices (updated_at)
"""
_VERSION = 1
_INSERT = """
INSERT INTO prices (asset, timestamp, updated_at, body) VALUES (?, ?, ?, ?)
ON CONFLICT (asset, timestamp) DO NOTHING
"""
_LATEST = "SELECT body FROM prices WHERE asset = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT 1"
_BETWEEN = "SELECT body FROM prices WHERE asset = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp {} LIMIT ?"
# The first "price" in a price's JSON is its own; finding it takes a tenth of the time of json_extract.
_PRICE = "CAST(substr({0}body, instr({0}body, '\"price\":') + 8, 40) AS REAL)"
_SUMMARIES = f"""
WITH page AS (
    SELECT timestamp, {_PRICE.format("")} AS price, CAST(timestamp / :bucket AS INTEGER) AS full
    FROM prices WHERE asset = :asset AND timestamp BETWEEN :start AND :end ORDER BY timestamp LIMIT :limit
), summaries AS (
    SELECT max(timestamp) AS last, max(price) AS high, min(price) AS low, count(*) AS prices
    FROM page GROUP BY full + (timestamp > full * :bucket)
)
SELECT last, high, low, {_PRICE.format("prices.")}, summaries.prices
FROM summaries JOIN prices ON asset = :asset AND timestamp = last ORDER BY last
"""  # noqa: S608  # both parts are constants
_EXPIRE = "DELETE FROM prices WHERE rowid IN (SELECT rowid FROM prices WHERE updated_at < ? LIMIT ?)"

_EXAMPLE = "sqlite:///file.db"
_PREFIX = "sqlite:///"
_SWEEP_SECONDS = 600.0  # between two deletions of expired prices
_CHECKPOINT_SECONDS = 1.0
_SWEEP_ROWS = 5000  # deleted in one transaction, for which writes have to wait
_LOOK_SECONDS = 60.0  # between two looks for assets whose prices should become bars
_ROLLS = 50  # assets whose prices become bars between two checkpoints


def parse_sqlite_url(url: str) -> Path:
    """Return the path of the file that the URL names. Raises ValueError."""
    if not url.startswith(_PREFIX) or url == _PREFIX:
        raise ValueError(f"must be {_EXAMPLE}")
    return Path(url.removeprefix(_PREFIX))


class SqliteHistory:
    """`aggregator.ports.History` in a SQLite file. Raises StoreUnavailable.

    With `retention` (seconds after `updated_at`), older prices are deleted; without, prices are kept for good.
    """

    def __init__(self, path: Path, retention: float | None = None, now: Callable[[], float] = time.time) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self._retention = retention
        self._now = now
        self._sweep_at = self._look_at = 0.0  # monotonic seconds
        self._due: list[str] = []  # assets whose prices should become bars

    async def open(self) -> None:
        """Create file and table where missing. Raises StoreRefused when the path cannot hold a database."""
        await self._file.open()
        await self._file.write(create_tables)

    async def run(self) -> None:
        """Make bars of prices, delete expired ones every ten minutes, checkpoint every second; never returns.

        A failed step does not stop the others: without checkpoints, the journal would grow for ever.
        """
        trouble = TroubleLog("history_upkeep_failing", "history_upkeep_recovered")
        while True:
            found = [await _failure_of(step) for step in (self._sweep, self._make_bars, self._file.checkpoint)]
            trouble.report(next((str(failure) for failure in found if failure is not None), ""))
            await asyncio.sleep(_CHECKPOINT_SECONDS)

    async def _sweep(self) -> None:
        """Delete expired prices, if that is due."""
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            await self.expire()

    async def _make_bars(self) -> None:
        """Make bars of the prices of some assets. Raises the first StoreError, after the other assets."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._due = await self.due_for_bars()
        some, self._due = self._due[:_ROLLS], self._due[_ROLLS:]
        found = [await _failure_of(partial(self.roll, asset)) for asset in some]
        if failures := [failure for failure in found if failure is not None]:
            raise failures[0]

    async def expire(self) -> None:
        """Delete the prices that are older than the retention."""
        if self._retention is None:
            return
        limit = (self._now() - self._retention, _SWEEP_ROWS)
        gone = _SWEEP_ROWS
        while gone == _SWEEP_ROWS:
            gone = await self._file.write(lambda connection: connection.execute(_EXPIRE, limit).rowcount)
            await self._file.checkpoint()
        await self._file.write(lambda connection: expire_bars(connection, limit[0]))

    async def due_for_bars(self) -> list[str]:
        """Return the assets whose bars lack the prices of more than five minutes."""
        now = self._now()
        return await self._file.read(lambda connection: due_assets(connection, now))

    async def roll(self, asset: str) -> bool:
        """Add the next prices of the asset to its bars, all but those of the last minute; return if there are more."""
        now = self._now()
        return await self._file.write(lambda connection: roll(connection, asset, now))

    async def drain(self, patience: float) -> int:  # noqa: ARG002  # History's signature
        """Return 0: `write` has finished its work when it returns."""
        return 0

    async def write(self, prices: Sequence[Price]) -> None:
        """Write all of `prices` in one transaction. A price that has the same key stays: clients may have got it."""
        rows = [(price.asset, price.timestamp, price.updated_at, encode(price).decode()) for price in prices]
        await self._file.write(lambda connection: _insert(connection, rows))

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol, without prices of the future; a symbol without any is left out."""
        latest = self._now() + FUTURE_TOLERANCE
        queries = [(_LATEST, (one, latest)) for one in symbols]
        prices = await self._file.read(lambda connection: _read(connection, queries))
        return {price.asset: price for price in prices}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        query = _BETWEEN.format("DESC" if newest_first else "ASC")
        return await self._file.read(lambda connection: _read(connection, [(query, (symbol, start, end, limit))]))

    async def bars(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """As `BarSource.bars`."""
        now = self._now()
        if await self._file.read(lambda connection: is_due(connection, symbol, now)):
            while await self.roll(symbol):
                pass
        return await self._file.read(lambda connection: read_bars(connection, symbol, seconds, start, end))

    async def summaries(self, symbol: str, start: float, end: float, limit: int, bucket: float) -> list[PriceSummary]:
        """As `SummarizingHistory.summaries`."""
        values = {"asset": symbol, "start": start, "end": end, "limit": limit, "bucket": bucket}
        rows = await self._file.read(lambda connection: connection.execute(_SUMMARIES, values).fetchall())
        return [PriceSummary(*row) for row in rows]

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file can be written to."""
        await self._file.ping()

    async def close(self) -> None:
        """Wait for the write under way and close the file."""
        await self._file.close()


async def _failure_of(step: Callable[[], Awaitable[object]]) -> StoreError | None:
    try:
        await step()
    except StoreError as error:
        return error
    return None


def _insert(connection: Connection, rows: Sequence[tuple[str, float, float, str]]) -> None:
    connection.executemany(_INSERT, rows)


def _read(connection: Connection, queries: Sequence[tuple[str, Sequence[object]]]) -> list[Price]:
    rows = [row[0] for query, values in queries for row in connection.execute(query, values)]
    try:
        return [decode_price(body) for body in rows]
    except msgspec.DecodeError as error:
        raise StoreRefused(f"SQLite: a row that is no price: {error}") from error


def _create(url: str, parts: HistoryParts) -> CreatedHistory:
    history = SqliteHistory(parse_sqlite_url(url), parts.retention, parts.now)
    return CreatedHistory(history, [OpenStep(history.open, FILE_REMEDY)])


SQLITE = HistoryStore(
    example=_EXAMPLE,
    form=f"{_EXAMPLE} (relative path; //// for an absolute one)",
    check=parse_sqlite_url,
    create=_create,
)
