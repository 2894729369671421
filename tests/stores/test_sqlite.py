"""What only SQLite has: files, locks, transactions and checkpoints."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.ports import PriceSummary
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import NOW, price


async def test_prices_are_there_after_a_restart(tmp_path: Path) -> None:
    """The same file, opened again, has the same prices."""
    for _ in range(2):
        history = SqliteHistory(tmp_path / "prices.db")
        await history.open()
        await history.write([price()])
        await history.close()
    history = SqliteHistory(tmp_path / "prices.db")
    await history.open()
    assert await history.between("btcusdt", 0, NOW * 2, 10, newest_first=True) == [price()]
    await history.close()


async def test_the_journal_is_a_wal(sqlite: SqliteHistory, tmp_path: Path) -> None:
    """So reads do not wait for writes."""
    connection = sqlite3.connect(tmp_path / "prices.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    await sqlite.write([price()])


async def test_a_batch_that_fails_leaves_nothing(sqlite: SqliteHistory, tmp_path: Path) -> None:
    """The good rows of a failed batch are not written either."""
    connection = sqlite3.connect(tmp_path / "prices.db")
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON prices WHEN new.asset = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    connection.close()
    with pytest.raises(StoreUnavailable, match="no"):
        await sqlite.write([price("good"), price("bad")])
    assert await sqlite.latest(["good", "bad"]) == {}
    await sqlite.write([price("good")])
    assert list(await sqlite.latest(["good", "bad"])) == ["good"]


async def test_prices_are_summarised_by_bucket(sqlite: SqliteHistory) -> None:
    """A bucket ends at a multiple of its length, inclusive. Only the first prices count, up to the limit."""
    start = NOW - NOW % 300
    points = [
        (0, "5"),
        (0.001, "0.00000012"),
        (100, "80000.123"),
        (300, "7"),
        (300.5, "9"),
        (1200, "1E+3"),
        (1201, "1"),
    ]
    await sqlite.write([price(timestamp=start + at, amount=amount) for at, amount in points])
    await sqlite.write([price("other", start + 50, "999999")])
    first = PriceSummary(start, 5, 5, 5, 1)
    second = PriceSummary(start + 300, 80000.123, 1.2e-7, 7, 3)
    assert await sqlite.summaries("btcusdt", start, start + 1200, 100, 300) == [
        first,
        second,
        PriceSummary(start + 300.5, 9, 9, 9, 1),
        PriceSummary(start + 1200, 1000, 1000, 1000, 1),
    ]
    assert await sqlite.summaries("btcusdt", start, start + 1200, 4, 300) == [first, second]
    assert await sqlite.summaries("btcusdt", start + 1, start + 1, 4, 300) == []


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
async def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Another kind of file, or a folder that does not exist; the error has the path."""
    path = tmp_path / "prices.db" if content else tmp_path / "nowhere" / "prices.db"
    if content:
        path.write_bytes(content)
    history = SqliteHistory(path)
    with pytest.raises(StoreRefused, match=r"prices\.db"):
        await history.open()
    await history.close()


async def test_prices_older_than_the_retention_are_deleted(tmp_path: Path) -> None:
    """By `updated_at`, not by the exchange's time; without a retention, no price is deleted."""
    for retention, left in ((None, 6000), (3600.0, 1000)):
        history = SqliteHistory(tmp_path / f"{left}.db", retention, now=lambda: NOW + 10_000)
        await history.open()
        await history.write([price(timestamp=NOW + number) for number in range(5000)])
        await history.write([price(timestamp=NOW + 9000 + number / 10) for number in range(1000)])
        await history.expire()
        assert len(await history.between("btcusdt", 0, NOW * 2, 10_000, newest_first=False)) == left
        await history.close()


async def test_a_file_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    """Before anything is written to it; the error says what to do."""
    other = sqlite3.connect(tmp_path / "prices.db")
    other.execute("CREATE TABLE prices (asset TEXT)")
    other.close()
    history = SqliteHistory(tmp_path / "prices.db")
    with pytest.raises(StoreRefused, match="move it away"):
        await history.open()
    await history.close()


async def test_the_journal_stays_small_under_steady_writes(sqlite: SqliteHistory, tmp_path: Path) -> None:
    """After writes of three times its bound, with checkpoints as `run` makes them, SQLite has reused it."""
    largest = 0

    async def checkpoints() -> None:
        while True:
            await sqlite._file.checkpoint()

    checkpointing = asyncio.create_task(checkpoints())
    for number in range(160):
        await sqlite.write([price(f"asset{one}", NOW + number) for one in range(500)])
        largest = max(largest, (tmp_path / "prices.db-wal").stat().st_size)
    checkpointing.cancel()
    await asyncio.gather(checkpointing, return_exceptions=True)
    assert (tmp_path / "prices.db").stat().st_size > 48 << 20
    assert largest < 40 << 20
