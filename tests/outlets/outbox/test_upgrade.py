"""The outbox of outlets that version 0.2.0 has written: this version copies its rows, and goes on in it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from tests.outlets.recording import LARGE, event

MADE = Path(__file__).with_name("made_by_0_2") / "outlets.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Restore the file: of `desk`, 1 to 3 wait, 4 was delivered, and 5 is a dead letter; of `other`, 1 waits."""
    file = tmp_path / "outlets.db"
    connection = sqlite3.connect(file)
    connection.executescript(MADE.read_text())
    connection.close()
    return file


async def test_what_waits_is_sent_in_its_order(path: Path) -> None:
    """Two processes may open the file at the same time."""
    files = [QueueFile(path, LARGE) for _ in range(2)]
    await asyncio.gather(*(file.open() for file in files))
    for file in files:
        assert [row.record.timestamp for row in await file.waiting("desk", 0, 10)] == [1, 2, 3]
        assert await file.left() == {"desk": 3, "other": 1}
        await file.close()


async def test_keys_are_known_until_they_are_forgotten(path: Path) -> None:
    """Of what waits and of what was delivered, none is appended again; once it is forgotten, it is."""
    file = QueueFile(path, LARGE)
    await file.open()
    events = [event(number, topic=topic) for number, topic in ((1, "prices"), (2, "signals"), (4, "prices"))]
    assert (await file.append([queued("desk", one) for one in events])).added == []
    assert len((await file.append([queued("desk", event(6)), queued("desk", event(6))])).added) == 1
    rows = [*await file.waiting("desk", 0, 10), *await file.waiting("other", 0, 10)]
    await file.delivered(rows)
    await file.purge()
    again = await file.append([queued("desk", event(number)) for number in (1, 4, 6)])
    assert [one.timestamp for one in again.added] == [4]  # it was delivered long ago; 1 and 6 just now
    await file.close()


async def test_a_dead_letter_is_sent_again(path: Path) -> None:
    """Its key, which the older version has noted, does not hold it back."""
    file = QueueFile(path, LARGE)
    await file.open()
    (letter,) = await file.dead_letters(0, 10)
    await file.replay(letter)
    assert [row.record.timestamp for row in await file.waiting("desk", 0, 10)] == [1, 2, 3, 5]
    assert await file.dead_letters(0, 10) == []
    await file.close()
