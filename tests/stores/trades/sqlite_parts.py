"""Trades and processes for the tests of SQLite, without imports that make a process start slowly.

python -m tests.stores.trades.sqlite_parts write trades.db 100 9   adds trades without end, 9 in a call, from number 100
python -m tests.stores.trades.sqlite_parts count trades.db         prints the number of trades
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from aggregator.models import Side, Trade
from aggregator.stores.trades import pending
from aggregator.stores.trades.sqlite import SqliteTrades

NOW = 1_760_000_000.0
ALWAYS = (0.0, NOW * 2)
ENDLESS = 1e12  # seconds of retention
GENERATION = 2000  # trades of a generation, instead of 50,000
CALL = 100  # trades of a call
ASSETS = [f"asset{number}" for number in range(10)]


def of_many_assets(first: int, until: int) -> list[Trade]:
    """Return the trades with these numbers, of ten assets in turn."""
    return [
        Trade(ASSETS[number % 10], Decimal(100), Decimal("0.25"), NOW + number, "venue", str(number), Side.BUY, number)
        for number in range(first, until)
    ]


@asynccontextmanager
async def opened(path: Path, retention: float = ENDLESS, now: float = NOW) -> AsyncIterator[SqliteTrades]:
    """Open the store for the block, without its background work."""
    store = SqliteTrades(path, retention, lambda: now)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _write(path: Path, number: int, call: int = CALL) -> None:
    pending.FULL = GENERATION
    async with opened(path) as store:
        while True:
            await store.add(of_many_assets(number, number + call))
            number += call
            print(f"stored {number}.", flush=True)  # noqa: T201  # the test reads it


async def _count(path: Path) -> None:
    async with opened(path) as store:
        found = [await store.trades(asset, *ALWAYS, 10_000, newest_first=True) for asset in ASSETS]
    print(sum(map(len, found)))  # noqa: T201  # the test reads it


if __name__ == "__main__":
    _, what, file, *numbers = sys.argv
    asyncio.run(_write(Path(file), *map(int, numbers)) if what == "write" else _count(Path(file)))
