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
from aggregator.archive.inspection import Problem
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import archived, keys, problems
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


async def differences(folder: Path) -> Sequence[Problem]:
    """Return what differs between manifests, files and the store of a folder."""
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    found = await problems(FolderAddress(folder / "lake"), folder, store, assets=ASSETS)
    await store.close()
    return found


def test_kills_of_the_archiver(tmp_path: Path) -> None:
    """Counts and checksums of store, files and manifests agree, and all that was stored is there once."""
    steps = run_killed(tmp_path, random.Random(7))
    assert archived(tmp_path / "lake") == keys([one for step in range(steps) for one in trades_of(step)])
    assert asyncio.run(differences(tmp_path)) == []
