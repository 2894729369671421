"""The archive has each trade once, whenever the archiver is killed: while it writes, merges, joins or deletes."""

import asyncio
import random
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.address import FolderAddress
from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import connect
from aggregator.archive.inspection import Problem, StoreCheck, check_day, days_of
from aggregator.archive.marks import Range
from aggregator.archive.sources import StoredTrades
from aggregator.archive.storages import open_storage
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import archived, keys
from tests.chaos.archiving import ASSETS, trades_of
from tests.parts.limits import FULL
from tests.parts.process import Process

pytestmark = pytest.mark.real

KILLS = 20 if FULL else 3
STEPS = 40  # of each life, unless it is killed before


def run_killed(folder: Path, chance: random.Random) -> int:
    """Run the archiver and kill it again and again; return the number of steps."""
    first = 0
    for _ in range(KILLS):
        process = Process([sys.executable, "-m", "tests.chaos.archiving", str(folder), str(first), str(first + STEPS)])
        process.wait_for_line("stored")
        time.sleep(chance.uniform(0.05, 1.5))
        process.stop(SIGKILL)
        stored = [int(step) for step in re.findall(r"stored (\d+)", process.output)]
        first = max(stored, default=first) + 1
    process = Process([sys.executable, "-m", "tests.chaos.archiving", str(folder), str(first), str(first + 3)])
    assert process.ended(120) == 0, process.output
    return first + 3


async def problems(folder: Path) -> Sequence[Problem]:
    """Return what differs between manifests, files and store."""
    address = FolderAddress(folder / "lake")
    storage, connection = open_storage(address, folder), connect(address)
    storage.open()
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()

    async def nothing_waits() -> set[Range]:
        return set()

    found = [one for day in days_of(storage, TRADES) for one in check_day(storage, connection, TRADES, day)]
    check = StoreCheck(storage, connection, StoredTrades(store), ASSETS, nothing_waits, 300)
    found += [one async for one in check.problems(0)]
    await store.close()
    connection.close()
    storage.close()
    return found


def test_kills_of_the_archiver(tmp_path: Path) -> None:
    """Counts and checksums of store, files and manifests agree, and all that was stored is there once."""
    steps = run_killed(tmp_path, random.Random(7))
    assert archived(tmp_path / "lake") == keys([one for step in range(steps) for one in trades_of(step)])
    assert asyncio.run(problems(tmp_path)) == []
