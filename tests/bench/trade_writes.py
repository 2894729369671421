"""SQLite writes of trades, in CPU time a trade: `.venv/bin/python -m tests.bench.trade_writes`.

A write has the same number of trades of each of 1,000 assets. Into the sorted table, it costs a page for each asset,
so a trade costs less where many trades of an asset are written together. The journal takes a write as one row, and the
moves bring many trades of an asset into the sorted table at once; both are what SqliteTrades.add does. It gets at most
2,000 trades a call, as from the processor, because a call moves at most 4,000.

Before each measurement, the table holds trades of every asset. Checkpoints are included.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import uvloop

from aggregator.models import Side, Trade
from aggregator.stores.database import Database

# The comparison is with the same table and the same statements, which nothing else needs.
from aggregator.stores.trades.sqlite import _SCHEMA, _VERSION, SqliteTrades, _insert
from aggregator.trades.event_log.memory import BATCH
from tests.bench.report import Figure, table

ASSETS = 1000
TRADES = 200_000  # of one measurement
_EACH = (1, 5, 50)  # trades of an asset in a write
_FILLED = 100_000  # trades that the table holds before
_CHECKPOINT = 50_000  # trades between two checkpoints
_RETENTION = 172_800.0


class Sorted:
    """Writes into the sorted table. The trades of a write are in the order of the table."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, _SCHEMA, _VERSION)
        self.open, self.checkpoint, self.close = self._file.open, self._file.checkpoint, self._file.close

    async def add(self, trades: Sequence[Trade]) -> None:
        """Write trades in one transaction."""
        await self._file.write(lambda connection: _insert(connection, trades))


class Journal:
    """Writes into the store, which has a journal and moves."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteTrades(path, _RETENTION)
        self.open, self.close = self._store.open, self._store.close

    async def add(self, trades: Sequence[Trade]) -> None:
        """Write trades, a micro-batch at a time."""
        for first in range(0, len(trades), BATCH):
            await self._store.add(trades[first : first + BATCH])

    async def checkpoint(self) -> None:
        """Checkpoint as the service does once a second; a move of this call is one of those that are due anyway."""
        await self._store.tidy()


class Trades:
    """Makes trades: `each` of every asset in a write, sorted by asset and time, later than those before."""

    def __init__(self) -> None:
        self._moment = 1_760_000_000_000_000  # microseconds
        self._price, self._volume = Decimal("77896.49"), Decimal("0.0421")

    def writes(self, number: int, each: int) -> Iterator[list[Trade]]:
        """Yield writes of together `number` trades."""
        for _ in range(max(1, number // (each * ASSETS))):
            self._moment += each
            yield [self._trade(asset, row) for asset in range(ASSETS) for row in range(each)]

    def _trade(self, asset: int, row: int) -> Trade:
        at = self._moment + row
        return Trade(f"asset{asset}", self._price, self._volume, at / 1e6, "exchange1", str(at), Side.BUY)


async def measure(kind: type[Sorted] | type[Journal], folder: Path, trades: int, each: int) -> float:
    """Return the CPU time of a trade in us."""
    store, made, spent, since = kind(folder / f"{kind.__name__}-{each}.db"), Trades(), 0.0, 0
    await store.open()
    for filling in made.writes(_FILLED, max(_EACH)):
        await store.add(filling)
    await store.checkpoint()
    written = 0
    for write in made.writes(trades, each):
        started = time.process_time()
        await store.add(write)
        written, since = written + len(write), since + len(write)
        if since >= _CHECKPOINT:
            await store.checkpoint()
            since = 0
        spent += time.process_time() - started
    await store.close()
    return 1e6 * spent / written


async def _figures(trades: int) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for each in _EACH:
            name = f"SQLite, {each} trades of each of {ASSETS:,} assets at a time"
            figures += [
                Figure(f"{name}: sorted table", await measure(Sorted, Path(folder), trades, each), "us"),
                Figure("  journal and moves", await measure(Journal, Path(folder), trades, each), "us"),
            ]
    return figures


def run(trades: int = TRADES) -> list[Figure]:
    """Measure both, for each size of a write."""
    return uvloop.run(_figures(trades))


if __name__ == "__main__":
    sys.stdout.write(table("writes of trades", run(*map(int, sys.argv[1:2]))) + "\n")
