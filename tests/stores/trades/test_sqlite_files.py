"""The SQLite store of trades: kills, other processes, and files that it refuses."""

import asyncio
import re
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

import pytest

from aggregator.errors import StoreRefused
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.stores.sqlite import SqliteHistory, parse_sqlite_url
from aggregator.stores.trades import pending
from aggregator.stores.trades.sqlite import SQLITE, SqliteTrades
from tests.parts.process import ROOT, Process
from tests.stores.trades.parts import trade
from tests.stores.trades.sqlite_parts import ASSETS, CALL, ENDLESS, NOW, of_many_assets, opened
from tests.stores.trades.test_sqlite import assert_holds, rows, write

PARTS = (sys.executable, "-m", "tests.stores.trades.sqlite_parts")


@pytest.mark.real
async def test_kill_9(tmp_path: Path) -> None:
    """What a killed process has stored is there: all that it acknowledged, and of the call under way all or nothing."""
    path, number = tmp_path / "trades.db", 0
    for more in (2500, 2500):  # in the midst of a move, and after some
        process = Process([*PARTS, "write", str(path), str(number)], cwd=ROOT)
        await asyncio.to_thread(process.wait_for_line, rf"stored {number + more}\.")
        process.stop(SIGKILL)
        acknowledged = int(re.findall(r"stored (\d+)\.", process.output)[-1])
        number = acknowledged + CALL
        async with opened(path) as store:
            assert await store.add(of_many_assets(0, acknowledged)) == []
            assert len(await store.add(of_many_assets(acknowledged, number))) in (0, CALL)
            await assert_holds(store, of_many_assets(0, number))


@pytest.mark.real
async def test_a_second_process_reads(tmp_path: Path) -> None:
    """Another process finds all that was stored before it opened the file, and the first one can go on writing."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await write(store, 0, 2500)
        reading = await asyncio.create_subprocess_exec(
            *PARTS, "count", str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        found, _ = await reading.communicate()
        assert int(found) == 2500
        await write(store, 2500, 2700)
        await assert_holds(store, of_many_assets(0, 2700))


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
async def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Another kind of file, or a folder that does not exist; the error has the path."""
    path = tmp_path / "trades.db" if content else tmp_path / "nowhere" / "trades.db"
    if content:
        path.write_bytes(content)
    await refused(path, r"cannot use .*trades\.db")


async def refused(path: Path, message: str) -> None:
    """Assert that the store refuses to open the file."""
    store = SqliteTrades(path, ENDLESS, lambda: NOW)
    with pytest.raises(StoreRefused, match=message):
        await store.open()
    await store.close()


async def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    """The error says which layout it has, and what to do."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade()])
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    await refused(path, "has layout 99, this version needs 2: move it away")


async def test_the_file_of_the_history_is_refused(tmp_path: Path) -> None:
    """Prices and trades need a file each; the error says what the file lacks."""
    path = tmp_path / "prices.db"
    history = SqliteHistory(path)
    await history.open()
    await history.close()
    await refused(path, r"prices\.db is the file of something else: it has no table blocks")


async def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    """No row of it is skipped in silence."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade()])
    with closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO journal VALUES (2, 0, ?)", (b'[{"asset": 1}]',))
        file.commit()
    await refused(path, "something else than trades")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:/trades.db", "trades.db", "memory://", ""])
def test_urls_that_are_refused(url: str) -> None:
    """A URL names a file, after three slashes."""
    with pytest.raises(ValueError, match="must be sqlite:///"):
        SQLITE.check(url)


def test_paths_of_urls() -> None:
    """Three slashes begin a relative path, four an absolute one."""
    assert parse_sqlite_url("sqlite:///trades.db") == Path("trades.db")
    assert parse_sqlite_url("sqlite:////var/lib/trades.db") == Path("/var/lib/trades.db")


def keys_of(trades: Sequence[Trade]) -> list[TradeKey]:
    """Return the keys of trades."""
    return [trade_key(one) for one in trades]


async def test_stores_that_share_a_file_store_a_key_once(tmp_path: Path) -> None:
    """Each finds what the other has in its journal or has moved, also when it looks late, and reads it."""
    path = tmp_path / "trades.db"
    async with opened(path) as one, opened(path) as other:
        assert len(await one.add(of_many_assets(0, 1000))) == 1000
        assert len(await other.add(of_many_assets(500, 1500))) == 500
        await one.tidy()
        await other.tidy()
        assert await other.add(of_many_assets(0, 1500)) == await one.add(of_many_assets(0, 1500)) == []
        await one.add(of_many_assets(1500, 1600))
        await one.add(of_many_assets(1700, 1800))
        one._moved_at = 0.0  # so that it moves at once, and the other sees no row of the journal
        await one.tidy()
        assert keys_of(await other.add(of_many_assets(1500, 1900))) == keys_of(
            [*of_many_assets(1600, 1700), *of_many_assets(1800, 1900)]
        )
        for store in (one, other):
            await assert_holds(store, of_many_assets(0, 1900))
            assert await store.latest(ASSETS) == {trade.asset: trade for trade in of_many_assets(1890, 1900)}


async def test_trades_of_a_process_that_is_gone_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one does so after a while, and then has them once."""
    monkeypatch.setattr(pending, "_ADOPT_SECONDS", -10.0)
    path = tmp_path / "trades.db"
    async with opened(path) as living:
        async with opened(path) as gone:
            await gone.add(of_many_assets(0, 100))
        assert await living.add(of_many_assets(0, 110)) == of_many_assets(100, 110)
        for _ in range(2):
            living._moved_at = 0.0  # so that it moves at once
            await living.tidy()
        assert rows(path) == (110, 0)
        await assert_holds(living, of_many_assets(0, 110))


@pytest.mark.real
async def test_processes_that_share_a_file(tmp_path: Path) -> None:
    """Two processes write the same trades and die by kill -9; a third finds each once."""
    path = tmp_path / "trades.db"
    writing = [Process([*PARTS, "write", str(path), "0"], cwd=ROOT) for _ in range(2)]
    for process in writing:
        await asyncio.to_thread(process.wait_for_line, r"stored 3000\.")
    for process in writing:
        process.stop(SIGKILL)
    number = max(int(found) for process in writing for found in re.findall(r"stored (\d+)\.", process.output))
    async with opened(path) as store:
        assert await store.add(of_many_assets(0, number)) == []
        await store.add(of_many_assets(number, number + CALL))
        await assert_holds(store, of_many_assets(0, number + CALL))


@pytest.mark.long  # on a busy machine a write takes long
@pytest.mark.real
async def test_each_of_three_busy_processes_gets_its_turn(tmp_path: Path) -> None:
    """Three processes write without a pause; none waits so long for the others that a write fails."""
    path = tmp_path / "trades.db"
    firsts, call = [number * 10_000_000 for number in range(3)], 10 * CALL
    writing = [Process([*PARTS, "write", str(path), str(first), str(call)], cwd=ROOT) for first in firsts]
    for process, first in zip(writing, firsts, strict=True):
        await asyncio.to_thread(process.wait_for_line, rf"stored {first + 150 * call}\.")
    for process in writing:
        process.stop(SIGKILL)
