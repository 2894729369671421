"""Several processors on one PostgreSQL: none of them deletes a trade that the archive of another one lacks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.writes.marks import Marks
from aggregator.stores.postgres.archivers import KEPT_FROM
from aggregator.stores.postgres.deletion import delete_old
from aggregator.stores.trades.postgres_table import PostgresTrades
from tests.archive.parts import HOUR, Archive, Clock, archived, archiving, keys, trade_at
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer

pytestmark = pytest.mark.real

_RETENTION = 172_800.0
_LATER = 3 * 86_400.0


class Processor:
    """A process with a store, marks and an archiver of its own."""

    def __init__(self, store: PostgresTrades, archive: Archive, stop: Callable[[], Awaitable[None]]) -> None:
        self.store = store
        self.archive = archive
        self.stop = stop

    async def sweep(self) -> int:
        """Delete what is old, as `PostgresTrades.run` does; return the number of deleted trades."""
        await self.store.share_marks()
        return await delete_old(self.store.writes, "trades", self.store._oldest(), kept_from=KEPT_FROM)


Start = Callable[[str], Awaitable[Processor]]


@pytest.fixture
async def start(postgres_running: PostgresServer, tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a processor by its name; all have one database, one archive and one clock."""
    address, clock = postgres_running.address(postgres_running.new_database()), Clock()
    async with AsyncExitStack() as stack:

        async def started(name: str) -> Processor:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            marks: list[Archive] = []

            def keep_from() -> float:
                return marks[0].marker.oldest if marks else 0.0

            store = PostgresTrades(
                address, PASSWORD, _RETENTION, clock.now, PATIENT_SECONDS, PATIENT_SECONDS, keep_from, name
            )
            await store.open()
            mine = await stack.enter_async_context(AsyncExitStack())
            archive = await mine.enter_async_context(archiving(store, FolderAddress(tmp_path / "lake"), folder, clock))
            mine.push_async_callback(store.close)
            marks.append(archive)
            return Processor(store, archive, mine.aclose)

        yield started


async def test_each_waits_for_the_archive_of_the_other(start: Start, tmp_path: Path) -> None:
    """Trades leave the store once both archivers have archived theirs, whichever process deletes."""
    one, other = await start("one"), await start("other")
    trades = [trade_at(1), trade_at(2), trade_at(400)]
    await one.archive.store.add(trades[:1])
    await other.archive.store.add(trades[1:])
    one.archive.clock.at = _LATER
    await other.archive.archiver.archive_due()  # both ranges, of which `one` still has a mark
    assert other.archive.marker.oldest > HOUR + _LATER
    assert (await other.sweep(), await one.sweep()) == (0, 0)
    await one.archive.archiver.archive_due()
    assert archived(tmp_path / "lake") == keys(trades)
    assert await other.sweep() == 0  # it cannot know yet
    assert await one.sweep() == 3


async def test_a_replayed_old_trade_is_kept_at_once(start: Start, tmp_path: Path) -> None:
    """A trade that is older than the retention when it is stored is not deleted by a process without its mark."""
    one, other = await start("one"), await start("other")
    one.archive.clock.at = _LATER
    assert (await one.sweep(), await other.sweep()) == (0, 0)
    await one.archive.store.add([trade_at(1)])
    assert await other.sweep() == 0
    await one.archive.archiver.archive_due()
    assert archived(tmp_path / "lake") == keys([trade_at(1)])
    assert (await one.sweep(), await other.sweep()) == (1, 0)


async def test_a_process_that_has_ended(start: Start, tmp_path: Path) -> None:
    """It keeps its trades where its archive lacks some, until it has started again; else it keeps none."""
    one, other = await start("one"), await start("other")
    await one.archive.store.add([trade_at(1)])
    await one.stop()
    other.archive.clock.at = _LATER
    assert await other.sweep() == 0
    again = await start("one")
    await again.archive.archiver.archive_due()
    await again.stop()
    assert archived(tmp_path / "lake") == keys([trade_at(1)])
    assert await other.sweep() == 1


async def test_names_of_archivers(tmp_path: Path) -> None:
    """An archiver has its name for good, and no other one has it."""
    marks = [Marks(tmp_path / "archive.db") for _ in range(2)]
    for one in marks:
        await one.open()
    names = [one.name for one in marks]
    for one in marks:
        await one.close()
    assert len({*names}) == 2
    again = Marks(tmp_path / "archive.db")
    await again.open()
    assert again.name == names[0]
    await again.close()
