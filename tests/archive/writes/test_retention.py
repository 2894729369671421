"""Trades leave the hot store only once the archive has them; what it had before the first start is archived, too."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.writes.backfill import backfill
from aggregator.stores.postgres.deletion import delete_old
from aggregator.stores.trades.postgres_table import PostgresTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.ports import TradeStore
from tests.archive.parts import HOUR, Clock, archived, archiving, keys, trade_at
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer

_RETENTION = 172_800.0
_LATER = 3 * 86_400.0


class Hot:
    """A hot store, and a call that deletes what is old; `keep_from` is set by the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.oldest: Callable[[], float] = lambda: HOUR * 2
        self.store: TradeStore
        self.expire: Callable[[], Awaitable[object]]

    def keep_from(self) -> float:
        """Return from when trades are kept."""
        return self.oldest()

    async def kept(self) -> int:
        """Delete what is old; return how many trades are left, and shown."""
        await self.expire()
        return len(await self.store.trades("btcusdt", 0, 1e10, 100, newest_first=False))


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Hot]:
    """Open a SQLite store, whose trades are in blocks."""
    hot = Hot()
    store = SqliteTrades(tmp_path / "trades.db", _RETENTION, hot.clock.now, hot.keep_from)
    await store.open()

    async def expire() -> None:
        await store.tidy()
        await store.expire()

    hot.store, hot.expire = store, expire
    yield hot
    await store.close()


@pytest.fixture
async def postgres(postgres_running: PostgresServer) -> AsyncIterator[Hot]:
    """Open a PostgreSQL store."""
    hot = Hot()
    address, patience = postgres_running.address(postgres_running.new_database()), PATIENT_SECONDS
    store = PostgresTrades(address, PASSWORD, _RETENTION, hot.clock.now, patience, patience, hot.keep_from)
    await store.open()

    async def expire() -> None:
        await delete_old(store.writes, "trades", store._oldest())

    hot.store, hot.expire = store, expire
    yield hot
    await store.close()


async def _check(hot: Hot, folder: Path) -> None:
    async with archiving(hot.store, FolderAddress(folder / "lake"), folder, hot.clock) as archive:
        hot.oldest = partial(getattr, archive.marker, "oldest")
        trades = [trade_at(1), trade_at(400)]
        await archive.store.add(trades)
        hot.clock.at = _LATER
        assert await hot.kept() == 2
        await archive.archiver.archive_due()
        assert archived(folder / "lake") == keys(trades)
        assert await hot.kept() == 0


async def test_sqlite_keeps_what_is_not_archived(sqlite: Hot, tmp_path: Path) -> None:
    """For longer than its retention."""
    await _check(sqlite, tmp_path)


@pytest.mark.real
async def test_postgresql_keeps_what_is_not_archived(postgres: Hot, tmp_path: Path) -> None:
    """For longer than its retention."""
    await _check(postgres, tmp_path)


async def test_what_was_stored_before_is_archived(sqlite: Hot, tmp_path: Path) -> None:
    """Once: a second start marks nothing."""
    trades = [trade_at(at, asset) for at in (1, 2, 301, 4000) for asset in ("btcusdt", "ethusdt")]
    await sqlite.store.add([*trades, trade_at(900, "ethusdt")])
    async with archiving(sqlite.store, FolderAddress(tmp_path / "lake"), tmp_path, sqlite.clock) as archive:

        async def mark() -> int:
            await backfill(archive.channel.source, archive.marker, ["btcusdt", "ethusdt"], 0)
            return len(archive.marker.pending)

        assert await mark() == 4
        await archive.archive_at(5000)
        assert archived(tmp_path / "lake") == keys([*trades, trade_at(900, "ethusdt")])
        assert await mark() == 0
