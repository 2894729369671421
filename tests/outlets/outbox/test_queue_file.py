"""The outbox's file: the pages that an append writes, ids of several processes, the keys that are kept."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.outlets.outbox.queue_file import QueueFile, queued
from tests.outlets.recording import LARGE, event

_PAGE = 4096
_SECOND = 1_000_000_000  # nanoseconds


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


async def test_events_that_wait_keep_no_keys_of_others(file: QueueFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an outlet is away for days, the keys of what others have taken are forgotten, and its own are kept."""
    before = [event(number) for number in range(6000)]
    after = [event(number) for number in range(6000, 6010)]
    await file.append([queued("away", one) for one in before])
    await file.delivered((await file.append([queued("desk", one) for one in [*before[:10], *after]])).rows)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 320 * _SECOND)
    while await file.purge():
        pass
    again = [queued(outlet, one) for outlet in ("away", "desk") for one in [*before[:10], *after]]
    added = (await file.append(again)).added
    assert [(one.outlet, one.timestamp) for one in added] == [
        *(("away", one.timestamp) for one in after),
        *(("desk", one.timestamp) for one in [*before[:10], *after]),
    ]


async def test_a_row_that_was_given_up_keeps_its_key_for_a_minute_at_most(
    file: QueueFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys behind the oldest waiting row are looked at again and again."""
    await file.append([queued("away", event(0)), queued("gone", event(1))])
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 320 * _SECOND)
    while await file.purge():
        pass
    await file.end("gone 1", "gone", "410", 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: real() + 390 * _SECOND)
    for _ in range(4):  # calls of four seconds
        await file.purge()
    again = (await file.append([queued("away", event(0)), queued("gone", event(1))])).added
    assert [one.outlet for one in again] == ["gone"]
