"""Upkeep of history in SQLite while the disk is full."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from aggregator.errors import StoreUnavailable
from aggregator.stores import sqlite
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.serving import until


class Full(SqliteHistory):
    """A history on a disk without room."""

    attempts = 0

    async def due_for_bars(self) -> list[str]:
        """Return an asset."""
        return ["btcusdt"]

    async def roll(self, asset: str) -> bool:
        """Fail."""
        self.attempts += 1
        raise StoreUnavailable(f"SQLite: database or disk is full: {asset}")


async def test_upkeep_that_goes_on_failing_is_logged_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is tried every second all the same."""
    monkeypatch.setattr(sqlite, "_CHECKPOINT_SECONDS", 0.001)
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", 0.0)
    history = Full(tmp_path / "prices.db")
    with capture_logs() as logs:
        running = asyncio.create_task(history.run())
        await until(lambda: history.attempts >= 20)
        running.cancel()
    assert [line["event"] for line in logs] == ["history_upkeep_failing"]
