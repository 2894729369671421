"""Compaction: a stop between any two of its steps is mended by the next start."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import connect
from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.storages.folder import FolderStorage
from aggregator.archive.writes.compaction import MOST_BYTES, compact
from aggregator.archive.writes.inspection import check_day, days_of
from aggregator.archive.writes.writer import RangeWriter
from aggregator.errors import StoreUnavailable
from aggregator.stores.trades.memory import MemoryTrades
from tests.archive.parts import HOUR, Archive, Clock, archived, archiving, files_of, keys, trade_at

TRADED = [trade_at(at) for at in (1, 301, 302, 901)]


class Stopping(FolderStorage):
    """A folder whose writer is stopped after some writes and deletions."""

    def __init__(self, address: FolderAddress, steps: int) -> None:
        super().__init__(address)
        self._steps = steps

    def put(self, path: str, source: Path, expected: str | None) -> None:
        """Put a file, or stop."""
        self._step()
        super().put(path, source, expected)

    def delete(self, path: str) -> None:
        """Delete a file, or stop."""
        self._step()
        super().delete(path)

    def _step(self) -> None:
        if not self._steps:
            raise StoreUnavailable("stopped")
        self._steps -= 1


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """Archive trades of three ranges."""
    async with archiving(MemoryTrades(1e9), FolderAddress(tmp_path / "lake"), tmp_path, Clock()) as one:
        await one.store.add(TRADED)
        await one.archive_at(1300)
        yield one


@pytest.mark.parametrize("steps", range(5))
async def test_a_stop_after_each_step(archive: Archive, tmp_path: Path, steps: int) -> None:
    """Of the file, the manifest and the deletions. The manifest has each trade once all the time."""
    address = FolderAddress(tmp_path / "lake")
    stopping, connection = Stopping(address, steps), connect(address)
    stopping.open()
    with pytest.raises(StoreUnavailable, match="stopped"):
        compact(RangeWriter(stopping, connection), TRADES, int(HOUR))
    (day,) = days_of(stopping, TRADES)
    assert sum(one.rows for one in day.manifest.files) == len(TRADED)
    assert {one.what for one in check_day(stopping, connection, TRADES, day)} <= {"is not in the manifest"}
    async with archiving(MemoryTrades(1e9), address, tmp_path, archive.clock) as other:
        archive.clock.at = 5000
        await other.marks.mark("trades", [(int(HOUR) - 300, int(HOUR))], [])
        await other.archiver.archive_due()
        await other.archiver.compact_due()
    assert files_of(tmp_path / "lake") == ["hour=12/00-60.parquet"]
    (day,) = days_of(stopping, TRADES)
    problems: list[Any] = list(check_day(stopping, connection, TRADES, day))
    assert problems == []
    connection.close()
    assert archived(tmp_path / "lake") == keys(TRADED)


async def test_a_large_hour_keeps_its_files(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than 64 MB together."""
    assert MOST_BYTES == 64 << 20
    monkeypatch.setattr("aggregator.archive.writes.compaction.MOST_BYTES", 10)
    archive.clock.at = 5000
    await archive.archiver.compact_due()
    assert len(files_of(tmp_path / "lake")) == 3
