"""Rows reach the lanes from memory while they can, else from the file; in the order in which they were written."""

import asyncio
import time
import tracemalloc
from collections.abc import Container, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aggregator.outlets.outbox.intake import IN_MEMORY, Intake
from aggregator.outlets.outbox.lanes import Lanes
from aggregator.outlets.outbox.queue_file import Page, Queued, QueueFile, queued
from aggregator.stores.waiting_file import Appended, Row
from tests.outlets.recording import LARGE, RecordingOutlet, event, running, until


class Unread(QueueFile):
    """A file whose waiting rows are never found: what arrives comes from memory."""

    reads = 0

    async def waiting(self, *_: object) -> list[Row[Queued]]:
        """Find none."""
        self.reads += 1
        return []

    async def waiting_but(self, *_: object) -> Page:
        """Find none."""
        return Page([], None, is_full=False)


class Held(QueueFile):
    """A file whose reads that find rows end only while `passing` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LARGE)
        self.passing = asyncio.Event()
        self.passing.set()
        self.holds = False

    async def waiting(self, outlet: str, after: int, limit: int) -> list[Row[Queued]]:
        """Return rows late."""
        rows = await super().waiting(outlet, after, limit)
        await self._hold(rows if limit > 1 else [])  # one: the age of the oldest
        return rows

    async def waiting_but(self, outlet: str, after: int, limit: int, known: Container[int]) -> Page:
        """Return rows late."""
        page = await super().waiting_but(outlet, after, limit, known)
        await self._hold(page.rows)
        return page

    async def _hold(self, rows: Sequence[Row[Queued]]) -> None:
        if rows and not self.passing.is_set():
            self.holds = True
            await self.passing.wait()


class Ahead(QueueFile):
    """The file as another process writes to it, with ids that are half a second ahead."""

    def _next_id(self) -> int:
        return super()._next_id() + 500_000_000


async def test_events_are_sent_from_memory(tmp_path: Path) -> None:
    """The file is the safety net: while the outlet keeps up, its rows are not read."""
    outlet, file = RecordingOutlet(), Unread(tmp_path / "o.db", LARGE)
    async with running(tmp_path / "o.db", {"stdout://": outlet}, file=file) as scene:
        await until(lambda: file.reads > 1)  # the first read, of what an earlier process has left, is over
        for number in range(20):
            await scene.outbox.hand_over([event(number)])
        await until(lambda: len(outlet.arrived) == 20)
        assert await scene.file.left() == {}
    assert outlet.keys == [event(number).key for number in range(20)]


async def test_events_of_a_cancelled_call_are_not_overtaken(tmp_path: Path) -> None:
    """A cancelled `hand_over` may have written its events: they come before those that were handed over later."""
    outlet = RecordingOutlet()
    async with running(tmp_path / "o.db", {"stdout://": outlet}) as scene:
        for number in range(0, 60, 2):
            cancelled = asyncio.create_task(scene.outbox.hand_over([event(number)]))
            await asyncio.sleep(0)  # it is in the thread of the file now
            cancelled.cancel()
            await scene.outbox.hand_over([event(number + 1)])
        await scene.outbox.send_all(20)
    numbers = [int(one.timestamp) for one in outlet.arrived]
    assert set(range(1, 60, 2)) <= set(numbers)
    assert numbers == sorted(set(numbers))


async def test_more_events_than_memory_holds_stay_in_order(tmp_path: Path) -> None:
    """While the outlet hangs, the file takes what is too much for the memory; none is lost, overtaken or repeated."""
    outlet, assets, number = RecordingOutlet(100, is_atomic=True), ("btcusdt", "ethusdt"), IN_MEMORY
    async with running(tmp_path / "o.db", {"stdout://": outlet}) as scene:
        outlet.hangs = True
        for first in range(0, number, 500):
            await scene.outbox.hand_over([event(one, asset) for one in range(first, first + 500) for asset in assets])
        outlet.hangs = False
        await scene.outbox.hand_over([event(number, asset) for asset in assets])
        await until(lambda: len(outlet.arrived) >= 2 * (number + 1), 30)
        await scene.outbox.send_all(20)
    for asset in assets:
        assert [int(one.timestamp) for one in outlet.arrived if one.asset == asset] == list(range(number + 1))


async def test_events_of_another_process_do_not_let_ours_be_overtaken(tmp_path: Path) -> None:
    """Rows of another process with later ids may be read before ours are committed: ours still come in order."""
    path, outlet = tmp_path / "o.db", RecordingOutlet()
    async with AsyncExitStack() as stack:
        other = QueueFile(path, LARGE)
        scene = await stack.enter_async_context(running(path, {"stdout://": outlet}))
        await other.open()
        stack.push_async_callback(other.close)
        for number in range(40):
            ours = scene.outbox.hand_over([event(number)])
            theirs = other.append([queued("stdout", event(number, "ethusdt"))])
            await asyncio.gather(ours, theirs)
        await until(lambda: len(outlet.arrived) == 80)
    assert [int(one.timestamp) for one in outlet.arrived if one.asset == "btcusdt"] == list(range(40))


async def test_an_event_that_is_written_during_a_read_is_not_overtaken(tmp_path: Path) -> None:
    """A read finds a later id of another process, and ours is written before the read has ended: it comes next."""
    path, outlet = tmp_path / "o.db", RecordingOutlet()
    file, other = Held(path), Ahead(path, LARGE)
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running(path, {"stdout://": outlet}, file=file))
        await other.open()
        stack.push_async_callback(other.close)
        file.passing.clear()
        theirs = await other.append([queued("stdout", event(0, "ethusdt"))])
        await until(lambda: file.holds)
        await scene.outbox.hand_over([event(1)])
        file.passing.set()
        await until(lambda: time.time_ns() > theirs.rows[0].id)
        await scene.outbox.hand_over([event(2)])
        await until(lambda: len(outlet.arrived) == 3)
    assert [int(one.timestamp) for one in outlet.arrived if one.asset == "btcusdt"] == [1, 2]


async def test_events_that_another_process_sends_take_no_memory(tmp_path: Path) -> None:
    """Beside the process that sends, events are handed over for days: nothing of them is kept."""
    file = QueueFile(tmp_path / "o.db", LARGE)
    intake = Intake("stdout", file, Lanes(1, 1, is_atomic=False), lambda: False, asyncio.Event())
    record = queued("stdout", event(1))
    tracemalloc.start()
    try:
        for number in range(10_000):
            row = Row(time.time_ns() + number, record)
            intake.offer([row], Appended([row], {}, row.id - 1, row.id))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000  # bytes
