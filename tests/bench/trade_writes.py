"""SQLite writes of trades, in time a trade: `.venv/bin/python -m tests.bench.trade_writes`.

A write has the same number of trades of each of 1,000 assets. The comparison is with a table that has a row for each
trade, sorted by asset and time. It costs a page for each asset, so a trade costs less where many trades of an asset are
written together. SqliteTrades.add appends a write to the journal as one row, and moves bring many trades of an asset
into one block. It gets at most 2,000 trades a call, as from the processor, because a call moves at most 4,000.

Only SqliteTrades.add finds duplicates, also in its memory; that is part of its CPU time. Before each measurement, the
table holds trades of every asset. Checkpoints are included.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import uvloop

from aggregator.models import Side, Trade
from aggregator.stores.database import Connection, Database
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.event_log.memory import BATCH
from tests.bench.report import Figure, table

ASSETS = 1000
TRADES = 200_000  # of one measurement
_EACH = (1, 5, 50)  # trades of an asset in a write
FILLED = 100_000  # trades that the table holds before
_CHECKPOINT = 50_000  # trades between two checkpoints
_RETENTION = 172_800.0
_SCHEMA = """
CREATE TABLE trades (
    asset TEXT NOT NULL, time INTEGER NOT NULL, venue TEXT NOT NULL, id TEXT NOT NULL, price TEXT NOT NULL,
    volume TEXT, side TEXT, sequence INTEGER, late INTEGER NOT NULL, PRIMARY KEY (asset, time, venue, id)
) WITHOUT ROWID
"""
_ROWS = 500  # of an insert


class Rows:
    """Writes into a table with a row for each trade. The trades of a write are in the order of the table."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, _SCHEMA, 1)
        self.open, self.checkpoint, self.close = self._file.open, self._file.checkpoint, self._file.close

    async def add(self, trades: Sequence[Trade]) -> None:
        """Write trades in one transaction."""
        await self._file.write(lambda connection: _insert(connection, trades))


def _insert(connection: Connection, trades: Sequence[Trade]) -> None:
    for first in range(0, len(trades), _ROWS):
        some = trades[first : first + _ROWS]
        rows = ",".join(["(?,?,?,?,?,?,?,?,?)"] * len(some))
        insert = f"INSERT INTO trades VALUES {rows} ON CONFLICT DO NOTHING"  # noqa: S608  # of constants
        connection.execute(insert, [value for trade in some for value in _row(trade)])


def _row(trade: Trade) -> tuple[object, ...]:
    at = round(trade.timestamp * 1e6)
    price, volume = str(trade.price), str(trade.volume)
    return trade.asset, at, trade.venue, trade.id, price, volume, trade.side, trade.sequence, trade.late


class Store:
    """Writes into the store, which has a journal, moves and blocks."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteTrades(path, _RETENTION)
        self.open, self.close = self._store.open, self._store.close

    async def add(self, trades: Sequence[Trade]) -> None:
        """Write trades, a micro-batch at a time."""
        for first in range(0, len(trades), BATCH):
            some = trades[first : first + BATCH]
            assert len(await self._store.add(some)) == len(some)

    async def checkpoint(self) -> None:
        """Checkpoint as the service does once a second; a move of this call is one of those that are due anyway."""
        await self._store.tidy()


class Trades:
    """Makes trades: `each` of every asset in a write, sorted by asset and time, later than those before."""

    def __init__(self, assets: int, later: int = 0) -> None:
        self._assets = assets
        self._moment = 1_760_000_000_000_000 + later  # microseconds
        self._price, self._volume = Decimal("77896.49"), Decimal("0.0421")

    def writes(self, number: int, each: int) -> Iterator[list[Trade]]:
        """Yield writes of together `number` trades."""
        for _ in range(max(1, number // (each * self._assets))):
            self._moment += each
            yield [self._trade(asset, row) for asset in range(self._assets) for row in range(each)]

    def _trade(self, asset: int, row: int) -> Trade:
        at = self._moment + row
        return Trade(f"asset{asset}", self._price, self._volume, at / 1e6, "exchange1", str(at), Side.BUY)


class Measured:
    """The cost of the writes into one store, without those that fill it first."""

    def __init__(self, store: Rows | Store) -> None:
        self._store = store
        self._cpu = self._seconds = 0.0
        self._trades = self._unchecked = 0

    async def fill(self, trades: int, assets: int) -> None:
        """Write trades before the measurement."""
        await self._store.open()
        for filling in Trades(assets).writes(trades, max(_EACH)):
            await self._store.add(filling)
        await self._store.checkpoint()

    async def write(self, trades: Sequence[Trade]) -> None:
        """Write trades, and measure that."""
        cpu, started = time.process_time(), time.perf_counter()
        await self._store.add(trades)
        self._trades, self._unchecked = self._trades + len(trades), self._unchecked + len(trades)
        if self._unchecked >= _CHECKPOINT:
            await self._store.checkpoint()
            self._unchecked = 0
        self._cpu += time.process_time() - cpu
        self._seconds += time.perf_counter() - started

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    def figures(self, name: str) -> list[Figure]:
        """Return what a trade has cost."""
        us = 1e6 / self._trades
        return [Figure(f"  {name}, CPU", us * self._cpu, "us"), Figure("    elapsed", us * self._seconds, "us")]


async def _measure(folder: Path, trades: int, filled: int, assets: int, each: int) -> list[Figure]:
    """Write the same trades into both, taking turns, so that what slows one down slows both."""
    both = {
        "a row for each trade": Measured(Rows(folder / f"rows-{each}.db")),
        "journal and blocks": Measured(Store(folder / f"store-{each}.db")),
    }
    for one in both.values():
        await one.fill(filled, assets)
    made = Trades(assets, later=filled)
    for writes in made.writes(trades, each):
        for one in both.values():
            await one.write(writes)
    for one in both.values():
        await one.close()
    heading = Figure(f"SQLite writes of {each} trades of each of {assets:,} assets", trades, "trades")
    return [heading, *(figure for name, one in both.items() for figure in one.figures(name))]


async def _figures(trades: int, filled: int, assets: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return [figure for each in _EACH for figure in await _measure(Path(folder), trades, filled, assets, each)]


def run(trades: int = TRADES, filled: int = FILLED, assets: int = ASSETS) -> list[Figure]:
    """Measure both, for each size of a write."""
    return uvloop.run(_figures(trades, filled, assets))


if __name__ == "__main__":
    sys.stdout.write(table("writes of trades", run(*map(int, sys.argv[1:2]))) + "\n")
