"""The archive has each trade once, whenever the archiver is killed: while it writes, merges, joins or deletes."""

import asyncio
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGKILL

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import ArchiveAddress, parse_archive_url
from aggregator.archive.writes.inspection import Problem
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import archived, keys, problems
from tests.chaos.archiving import ASSETS, trades_of
from tests.parts.limits import FULL
from tests.parts.process import Process
from tests.parts.s3 import S3Server, s3_running

pytestmark = pytest.mark.real

KILLS = 20 if FULL else 3
STEPS = 40  # of each life, unless it is killed before
_LAST_SECONDS = 600.0  # of the life that nobody ends, on a busy machine


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """Run an S3 server."""
    pytest.importorskip("duckdb_extension_httpfs", reason="the extra `archive` is not installed")
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3_running(folder) as server:
        yield server


def run_killed(folder: Path, url: str, chance: random.Random) -> int:
    """Run the archiver and kill it again and again; return the number of steps."""
    first, command = 0, [sys.executable, "-m", "tests.chaos.archiving", str(folder), url]
    for _ in range(KILLS):
        process = Process([*command, str(first), str(first + STEPS)])
        process.wait_for_line("stored")
        time.sleep(chance.uniform(0.05, 1.5))
        process.stop(SIGKILL)
        stored = [int(step) for step in re.findall(r"stored (\d+)", process.output)]
        first = max(stored, default=first) + 1
    process = Process([*command, str(first), str(first + 3)])
    assert process.ended(_LAST_SECONDS) == 0, process.output
    return first + 3


async def differences(folder: Path, address: ArchiveAddress) -> Sequence[Problem]:
    """Return what differs between manifests, files and the store in a folder."""
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    found = await problems(address, folder, store, assets=ASSETS)
    await store.close()
    return found


def check_kills(folder: Path, url: str) -> None:
    """Kill the archiver of an archive; compare what is there with what was stored."""
    steps, address = run_killed(folder, url, random.Random(7)), parse_archive_url(url)
    assert archived(address) == keys([one for step in range(steps) for one in trades_of(step)])
    assert asyncio.run(differences(folder, address)) == []


def test_kills_of_the_archiver(tmp_path: Path) -> None:
    """Counts and checksums of store, files and manifests agree, and all that was stored is there once."""
    check_kills(tmp_path, f"file://{tmp_path}/lake")


def test_kills_of_the_archiver_on_s3(tmp_path: Path, s3: S3Server) -> None:
    """The same on SeaweedFS, which goes on with a request whose client is killed."""
    check_kills(tmp_path, s3.url(s3.bucket()))
