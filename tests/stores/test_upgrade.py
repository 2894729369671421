"""Files that version 0.1 has written: this version reads them and goes on in them."""

import sqlite3
from pathlib import Path

import pytest

from aggregator.models import decode_price
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import price

MADE = Path(__file__).with_name("made_by_0_1")


@pytest.fixture
def history_file(tmp_path: Path) -> Path:
    """Restore the history."""
    return restored("history", tmp_path)


def restored(name: str, folder: Path) -> Path:
    """Return the file that a dump was made of."""
    file = folder / f"{name}.db"
    connection = sqlite3.connect(file)
    connection.executescript((MADE / f"{name}.sql").read_text())
    connection.close()
    return file


async def test_the_history_is_read_and_goes_on(history_file: Path) -> None:
    """All prices are there, to the digit, with their bars, and a new price is stored beside them."""
    connection = sqlite3.connect(history_file)
    rows = connection.execute("SELECT body FROM prices ORDER BY timestamp").fetchall()
    stored_bars = connection.execute("SELECT count(*) FROM bars WHERE seconds = 60").fetchone()[0]
    connection.close()
    assert (len(rows), stored_bars) == (29, 10)
    history = SqliteHistory(history_file)
    await history.open()
    prices = await history.between("eigenusdt", 0, 2e9, 100, newest_first=False)
    assert prices == [decode_price(body) for (body,) in rows]
    await history.write([price()])
    assert await history.between("btcusdt", 0, 2e9, 10, newest_first=True) == [price()]
    await history.close()


async def test_the_outbox_is_sent(tmp_path: Path) -> None:
    """Prices that wait and dead letters are there, in their order."""
    outbox = OutboxFile(restored("outbox", tmp_path), 1 << 20)
    await outbox.open()
    assert [row.record.asset for row in await outbox.after(0, 10)] == ["eigenusdt"] * 4
    (letter,) = await outbox.dead_letters(0, 10)
    assert letter.reason == "a reason made up for this file"
    await outbox.append([price()])
    assert len(await outbox.after(0, 10)) == 5
    await outbox.close()
