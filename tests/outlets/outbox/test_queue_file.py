"""The outbox's file: the pages that an append writes, and the ids of several processes."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from tests.outlets.recording import LARGE, event

_PAGE = 4096


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[QueueFile]:
    """Return an open file."""
    one = QueueFile(tmp_path / "outlets.db", LARGE)
    await one.open()
    yield one
    await one.close()


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


async def test_processes_that_write_in_one_nanosecond_have_different_ids(
    file: QueueFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No append fails because another process has written at the same time; a later one has the larger ids."""
    other = QueueFile(tmp_path / "outlets.db", LARGE)
    await other.open()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for number in range(6):
        await (file, other)[number % 2].append([queued("desk", event(number))])
    await other.close()
    assert [row.record.timestamp for row in await file.waiting("desk", 0, 10)] == list(range(6))
