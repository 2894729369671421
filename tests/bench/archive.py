"""Trades to Parquet: rows a second of a core, bytes a trade, and the share of a core beside a stream.

`./test.sh bench archive`. CPU time of this process is the measure, with one thread at work at a time. The prices of an
asset are a random walk, as those of a market are; random digits would be incompressible.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import connect
from aggregator.archive.sources import PAGE, StoredTrades
from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.storages.registry import open_storage
from aggregator.archive.writes.spool import Spool
from aggregator.archive.writes.writer import RangeWriter
from aggregator.models import Side, Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import HOUR, archiving
from tests.bench.report import Figure

ROWS = 1_000_000
STORED = 300_000
RATE = 15_000  # trades a second
_LATER = 120_000  # trades after a range until it is archived, which move those of the range into blocks
_JITTER = 0.2  # seconds between the ways of two venues, so that blocks overlap
_ASSETS = 1000
_SECONDS = 300
_OF_ASSET = RATE * _SECONDS // _ASSETS


def made(rows: int, assets: int = _ASSETS) -> Iterator[list[Trade]]:
    """Yield the trades of five minutes, those of one asset after those of the one before."""
    chance, number = random.Random(1), 400_000_000
    for asset in range(assets):
        price, trades = chance.uniform(0.5, 90_000), []
        for place in range(rows // assets):
            number += 1
            price *= 1 + chance.gauss(0, 1e-4)
            at = round(HOUR + (place + chance.random()) * _SECONDS / (rows // assets), 6)
            amounts = Decimal(f"{price:.2f}"), Decimal(f"{chance.expovariate(2):.5f}")
            venue, side = chance.choice(["coinbase", "kraken", "okx"]), chance.choice(list(Side))
            trades.append(Trade(f"asset{asset}usdt", *amounts, at, venue, str(number), side, None))
        yield sorted(trades, key=lambda one: (one.timestamp, one.venue, one.id))


def run(rows: int = ROWS, stored: int = STORED) -> list[Figure]:
    """Return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, size = _written(Path(folder) / "lake", rows)
    with tempfile.TemporaryDirectory() as folder:
        cost = asyncio.run(_archived(Path(folder), stored))
    return [
        Figure("trades to Parquet, checked", rows / seconds, "rows a second of CPU", ">= 400000"),
        Figure("a trade in Parquet", size / rows, "bytes", "<= 25"),
        Figure("the same, from SQLite", 1 / cost, "rows a second of CPU", ">= 400000"),
        Figure(f"store to archive at {RATE:,} trades a second", cost * RATE, "cores", "<= 0.1"),
    ]


def _written(lake: Path, rows: int) -> tuple[float, int]:
    """Return the CPU time of writing a range, from trades in memory to the manifest, and the size of its files."""
    address = FolderAddress(lake)
    storage, connection = open_storage(address, lake), connect(address)
    storage.open()
    pages = [trades[at : at + PAGE] for trades in made(rows) for at in range(0, len(trades), PAGE)]
    writer, source = RangeWriter(storage, connection), StoredTrades(MemoryTrades(1e9))
    began = time.process_time()
    spool = Spool(storage.work_folder, source.lines)
    for page in pages:
        spool.add(page)
    spool.finish()
    entries = writer.write(TRADES, int(HOUR), int(HOUR) + _SECONDS, spool.files, spool.rows)
    spent = time.process_time() - began
    assert sum(one.rows for one in entries) == rows
    spool.close()
    connection.close()
    storage.close()
    return spent, sum(one.bytes for one in entries)


async def _archived(folder: Path, rows: int) -> float:
    """Return the CPU time per trade of reading a range from SQLite and archiving it.

    Trades of a stream follow until then, and come in an order that is not quite that of their times.
    """
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    async with archiving(store, FolderAddress(folder / "lake"), folder) as archive:
        of_assets = made(rows, max(1, rows // _OF_ASSET))
        chance = random.Random(2)
        by_time = sorted(
            (trade for trades in of_assets for trade in trades),
            key=lambda one: one.timestamp + chance.random() * _JITTER,
        )
        later = [msgspec.structs.replace(one, timestamp=one.timestamp + _SECONDS) for one in by_time[:_LATER]]
        for trades in (by_time, later):
            for at in range(0, len(trades), 5000):
                await archive.store.add(trades[at : at + 5000])
        began = time.process_time()
        await archive.archive_at(_SECONDS + 11)
        spent = time.process_time() - began
    await store.close()
    return spent / rows
