"""What only the SQLite store of events has: a file, its layout, and the deletion of old events."""

from pathlib import Path

import pytest

from aggregator.errors import StoreRefused
from aggregator.stores.events.sqlite import SqliteEvents
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.clock import Clock
from tests.parts.examples import NOW
from tests.stores.events.parts import DAY, RETENTION, Opened, event


async def _rows(store: SqliteEvents, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608  # a constant
    count: int = await store.file.read(lambda connection: connection.execute(query).fetchone()[0])
    return count


async def test_old_events_are_deleted(sqlite: Opened, clock: Clock) -> None:
    """All of them, more than one transaction deletes, and no others."""
    store = sqlite.events
    assert isinstance(store, SqliteEvents)
    await sqlite.put(*(event(number, timestamp=NOW + number / 1000) for number in range(5000)))
    await sqlite.put(event(7000, timestamp=NOW + 2 * DAY), event(asset="ethusdt"))
    clock.now += RETENTION + DAY
    await store.expire()
    assert await _rows(store, "events") == 1
    assert await sqlite.all() == [event(7000, timestamp=NOW + 2 * DAY)]


async def test_the_file_of_the_history_is_refused(tmp_path: Path) -> None:
    """Prices and events need a file each; the error says what the file lacks."""
    path = tmp_path / "prices.db"
    history = SqliteHistory(path)
    await history.open()
    await history.close()
    store = SqliteEvents(path, RETENTION)
    with pytest.raises(StoreRefused, match=r"prices\.db is the file of something else: it has no table events"):
        await store.open()
    await store.close()


async def test_a_row_that_is_no_position_is_refused(sqlite: Opened) -> None:
    """It is an error of the store, not one of the program."""
    store = sqlite.events
    assert isinstance(store, SqliteEvents)
    await store.file.write(
        lambda connection: connection.execute("INSERT INTO positions VALUES ('1', 'btcusdt', 5.0, '{}')").rowcount
    )
    with pytest.raises(StoreRefused, match="no position"):
        await sqlite.closed_pages(None, 9)
