"""The run of `aggregator sql`: find files and hot rows, run the query in a thread, show how far it is, and write."""

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from aggregator.archive.archive_files import covered, over
from aggregator.archive.duck import connect
from aggregator.archive.errors import QueryRefused
from aggregator.archive.layout import MANIFEST
from aggregator.archive.sql.hot import gaps
from aggregator.archive.sql.session import Bounds, SqlSession
from aggregator.archive.storages.address import ArchiveAddress, FolderAddress, parse_archive_url
from aggregator.cli.replaced_file import beside
from aggregator.cli.sql.hot_stores import HotStores
from aggregator.cli.sql.output import Target, write_result
from aggregator.errors import CannotGoOn, StoreError
from aggregator.runtime.progress import replay_bar
from aggregator.settings import Settings

_QUIET_SECONDS = 1.0  # a query that is faster shows no bar
_LOOK_SECONDS = 0.1
_TEMPORARY = 4  # times the memory, of temporary files
_THREADS = 2
_SOME_DAY = "year=2026/month=11/day=30"


class Wanted(msgspec.Struct, frozen=True):
    """The options: the query, where its result goes, an archive (None: that of the settings), seconds, bytes."""

    query: str
    target: Target
    source: str | None
    seconds: float
    memory: int


async def run_query(settings: Settings, wanted: Wanted, stop: asyncio.Event) -> None:
    """Run the query and write its result. Raises CannotGoOn, also after a stop."""
    temporary = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="aggregator-sql-"))
    try:
        async with AsyncExitStack() as stack:
            await _run(settings, wanted, temporary, stack, stop)
    except QueryRefused as error:
        raise CannotGoOn(str(error), error.remedy) from error
    except StoreError as error:
        raise CannotGoOn(str(error)) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)


async def _run(settings: Settings, wanted: Wanted, temporary: Path, stack: AsyncExitStack, stop: asyncio.Event) -> None:
    address = _address(settings, wanted.source)
    open_connection = partial(connect, address, f"{wanted.memory}B", _THREADS, temporary / "spilled")
    session = await asyncio.to_thread(SqlSession, open_connection, wanted.query, _bounds(address, wanted))
    stack.callback(session.close)
    hot = None if wanted.source else HotStores(settings, stack, temporary)
    working = asyncio.create_task(_answer(session, address, hot, wanted))
    try:
        await _watch(working, session, stop)
    finally:
        while not working.done():
            session.interrupt()
            await asyncio.wait({working}, timeout=_LOOK_SECONDS)
    await working


async def _answer(session: SqlSession, address: ArchiveAddress | None, hot: HotStores | None, wanted: Wanted) -> None:
    """Find files and rows, run the query, and write its result."""
    spans = await asyncio.to_thread(session.spans)
    entries = await asyncio.to_thread(session.entries, address, spans)
    if spans and not any(entries.values()):
        await _check_rows(session, address, hot, wanted)
    if hot is not None:
        try:
            async with asyncio.timeout(wanted.seconds):
                for name in await hot.open(spans):  # a range that a stop has archived may still get rows
                    entries[name] = over(entries.get(name, ()), time.time())
                await hot.feed(
                    session, {name: gaps(span, covered(entries.get(name, ()))) for name, span in spans.items()}
                )
        except TimeoutError as error:
            raise session.stop_error() from error
    await asyncio.to_thread(session.prepare, address, entries)
    await asyncio.to_thread(write_result, session, wanted.target)


async def _check_rows(
    session: SqlSession, address: ArchiveAddress | None, hot: HotStores | None, wanted: Wanted
) -> None:
    """Raise CannotGoOn where no view could have a row: a wrong folder must not look like one without rows."""
    if hot is not None and await hot.are_there():
        return
    if address is not None and not await asyncio.to_thread(session.is_empty, address):
        return
    if hot is None:
        what = f"{str(wanted.source)[:100]} is no archive: it has no file such as trades/{_SOME_DAY}/{MANIFEST}"
        raise CannotGoOn(what, "name another with --from")
    raise CannotGoOn(
        "no store of the settings has a file, and there is no archive",
        "name their folder with --data-dir (the files of the demo: --data-dir data)",
    )


async def _watch(working: asyncio.Task[None], session: SqlSession, stop: asyncio.Event) -> None:
    """Wait for the end or a stop. A bar shows how far a query is that takes more than a second."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, timeout=_QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if working.done() or stop.is_set():
            return
        with replay_bar(100, "sql") as show:
            while not (working.done() or stop.is_set()):
                show(max(0, round(session.progress())), "")
                await asyncio.wait({working, stopping}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


def _address(settings: Settings, source: str | None) -> ArchiveAddress | None:
    """Return the archive to read; None where the settings have none. Raises CannotGoOn."""
    url = source or settings.archive_url
    try:
        address = parse_archive_url(url) if url else None
    except ValueError as error:
        raise CannotGoOn(f"the archive {url[:100]!r}: {error}", "name another with --from") from error
    if not isinstance(address, FolderAddress):
        return address
    if source and not address.folder.is_dir():
        raise CannotGoOn(f"there is no folder {address.folder}", "name another with --from")
    return FolderAddress(address.folder.absolute())


def _bounds(address: ArchiveAddress | None, wanted: Wanted) -> Bounds:
    path = wanted.target.path
    return Bounds(
        [] if address is None else [f"{address.root}/"],
        None if path is None else str(beside(path)),
        wanted.seconds,
        wanted.memory * _TEMPORARY,
    )
