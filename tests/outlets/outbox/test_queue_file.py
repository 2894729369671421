"""The pages of the outbox's file that an append writes."""

from pathlib import Path

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from tests.outlets.recording import LARGE, event

_PAGE = 4096


async def test_keys_of_a_moment_are_in_few_pages(tmp_path: Path) -> None:
    """An append of 500 events writes few pages to the journal, however many keys are in the file."""
    path = tmp_path / "o.db"
    file, journal = QueueFile(path, LARGE), path.with_name("o.db-wal")
    await file.open()
    before = after = 0
    for first in range(0, 20_000, 500):
        before = journal.stat().st_size
        await file.append([queued("desk", event(number)) for number in range(first, first + 500)])
        after = journal.stat().st_size
    await file.close()
    assert (after - before) / _PAGE < 125
