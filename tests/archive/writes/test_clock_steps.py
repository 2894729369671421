"""The archive has each trade once, whatever the clock does and whenever its trades come."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import FolderAddress
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import Archive, archived, archiving, keys, problems, trade_at

_MIDNIGHT = 12 * 3600.0


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """Archive the trades of a SQLite store that keeps them for good."""
    store = SqliteTrades(tmp_path / "trades.db", 1e12)
    await store.open()
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path) as one:
        yield one
    await store.close()


async def work_at(archive: Archive, at: float) -> None:
    """Archive and join what is due."""
    await archive.archive_at(at)
    await archive.archiver.compact_due()


async def test_steps_of_the_clock(archive: Archive, tmp_path: Path) -> None:
    """Forward by a day, back by more, and forward again, while trades of both days come."""
    stored = []
    steps = (0, 86_400, -7200, _MIDNIGHT + 10, 600, 90_000)
    for number, at in enumerate(steps):
        trades = [trade_at(offset, number=number) for offset in (-3600, 1, 3599, 3601, _MIDNIGHT - 1, _MIDNIGHT + 1)]
        await archive.store.add(trades)
        stored += trades
        await work_at(archive, at)
    await work_at(archive, 200_000)
    assert not archive.marker.pending
    assert archived(tmp_path / "lake") == keys(stored)
    assert await problems(FolderAddress(tmp_path / "lake"), tmp_path, archive.store) == []


async def test_a_clock_that_is_set_back_delays_nothing(archive: Archive, tmp_path: Path) -> None:
    """A range that was written while the clock was a day ahead is written again in its usual time."""
    await archive.store.add([trade_at(1)])
    await archive.archive_at(86_400)
    await archive.store.add([trade_at(2)])
    await archive.archive_at(400)
    assert not archive.marker.pending
    assert len(archived(tmp_path / "lake")) == 2


async def test_a_batch_across_the_day_and_late_trades_of_yesterday(archive: Archive, tmp_path: Path) -> None:
    """Each trade is in the folder of its own day and hour, also in an hour whose files were joined."""
    batch = [trade_at(_MIDNIGHT + offset) for offset in (-301, -1, 0, 1, 3600)]
    await archive.store.add(batch)
    await work_at(archive, _MIDNIGHT + 7200)
    late = [trade_at(_MIDNIGHT - 2, number=9), trade_at(_MIDNIGHT - 5000)]
    await archive.store.add(late)
    await work_at(archive, _MIDNIGHT + 86_400)
    assert archived(tmp_path / "lake") == keys([*batch, *late])
    assert {one.name for one in (tmp_path / "lake/trades/year=2026/month=11").iterdir()} == {"day=18", "day=19"}
    placed = archived(tmp_path / "lake", ["day", "hour", "day(timestamp)", "hour(timestamp)"])
    assert all((int(str(day)), int(str(hour))) == (of_day, of_hour) for day, hour, of_day, of_hour in placed)
    assert await problems(FolderAddress(tmp_path / "lake"), tmp_path, archive.store) == []
