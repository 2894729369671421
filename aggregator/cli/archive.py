"""`aggregator archive list|verify`: what the archive has, and whether manifest, files and store agree.

It may be used while the service runs.
"""

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aggregator.archive.datasets import DATASETS, PRICES, TRADES, Dataset
from aggregator.archive.duck import Connection, connect
from aggregator.archive.layout import HOUR
from aggregator.archive.storages.address import FORM, ArchiveAddress, FolderAddress, parse_archive_url
from aggregator.archive.storages.definition import Storage
from aggregator.archive.storages.registry import open_storage
from aggregator.archive.writes.backfill import BACKFILLED_SECONDS
from aggregator.archive.writes.inspection import Day, Problem, StoreCheck, check_day, days_of, overview
from aggregator.archive.writes.marks import read_ranges
from aggregator.cli.command import Command, Flags, start
from aggregator.cli.sql.hot_stores import HotStores
from aggregator.errors import CannotGoOn, StoreError
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.data_folder import check_folder, files_of_stores
from aggregator.runtime.lifecycle import run
from aggregator.runtime.stores import retention_of
from aggregator.runtime.table import print_table
from aggregator.settings import PREFIX, Settings

_FLUSHED = (TRADES.name, PRICES.name)  # whose files cover ARCHIVE_FLUSH; those of the others cover an hour
_MARGIN_SECONDS = 3600.0  # the store may be deleting what is older than its retention


async def archive(settings: Settings, action: str, url: str) -> None:
    """Do `list` or `verify`. Raises CannotGoOn, also when something does not agree."""
    address = _address(url or settings.archive_url)
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(address, Path(folder))
        try:
            await asyncio.to_thread(storage.open)
            if action == "list":
                _print_overview(await asyncio.to_thread(overview, storage))
            else:
                await _verify(settings, address, storage)
        except StoreError as error:
            raise CannotGoOn(str(error), f"check {PREFIX}ARCHIVE_URL") from error
        finally:
            await asyncio.to_thread(storage.close)


def _address(url: str) -> ArchiveAddress:
    if not url:
        raise CannotGoOn(
            "no archive is named",
            f"set {PREFIX}ARCHIVE_URL, or give --from (the files of the demo: --data-dir data --archive-url data/lake)",
        )
    try:
        address = parse_archive_url(url)
    except ValueError as error:
        raise CannotGoOn(f"--from {url}: {error}") from error
    if isinstance(address, FolderAddress) and not address.folder.is_dir():  # opening it would make it
        raise CannotGoOn(f"there is no folder {address.folder}", "name another with --from")
    return address


def _print_overview(rows: list[tuple[str, int, int, int, int]]) -> None:
    if not rows:
        sys.stdout.write("The archive is empty.\n")
        return
    cells = [(name, *(f"{number:,}" for number in numbers)) for name, *numbers in rows]
    print_table(("dataset", "days", "files", "rows", "bytes"), cells, ("dataset",))


async def _verify(settings: Settings, address: ArchiveAddress, storage: Storage) -> None:
    connection = await asyncio.to_thread(connect, address)
    try:
        count, files = 0, 0
        for dataset in DATASETS.values():
            for day in await asyncio.to_thread(_days, storage, dataset):
                found = await asyncio.to_thread(_check, storage, connection, dataset, day)
                files += len(day.manifest.files)
                count += _print_problems(found)
        count += await _compare(settings, storage, connection)
    finally:
        connection.close()
    if count:
        raise CannotGoOn(f"{count} problems in {files} files")
    sys.stdout.write(f"{files} files, their manifests and the hot stores agree.\n")


def _days(storage: Storage, dataset: Dataset) -> list[Day]:
    return list(days_of(storage, dataset))


def _check(storage: Storage, connection: Connection, dataset: Dataset, day: Day) -> list[Problem]:
    return list(check_day(storage, connection, dataset, day))


async def _compare(settings: Settings, storage: Storage, connection: Connection) -> int:
    """Print what the hot stores have and the archive lacks; return how many ranges."""
    count, assets = 0, sorted(catalog_of(settings).assets)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="aggregator-verify-"))
    try:
        async with AsyncExitStack() as stack:
            hot = HotStores(settings, stack, folder)
            await hot.open(DATASETS)
            for name in DATASETS:
                source = hot.source(name)
                if source is None:
                    sys.stdout.write(f"The store of {name} cannot be read, and is not compared.\n")
                    continue
                pending = partial(read_ranges, settings.archive_path, name)
                seconds = settings.archive_flush if name in _FLUSHED else HOUR
                check = StoreCheck(storage, connection, source, assets, pending, seconds)
                start = _since(settings, name, await check.first())
                count += _print_problems([one async for one in check.problems(start)])
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return count


def _since(settings: Settings, name: str, first: float) -> float:
    """Return the time from which a store and an archive that begins at `first` must agree, in unix seconds."""
    now, kept = time.time(), settings.events_retention
    if name == TRADES.name:
        return max(0.0, now - settings.trades_retention + _MARGIN_SECONDS)
    if name == PRICES.name:
        kept = retention_of(settings) or math.inf
    return max(0.0, now - kept, min(first, now - BACKFILLED_SECONDS)) + _MARGIN_SECONDS


def _print_problems(found: list[Problem]) -> int:
    for one in found:
        sys.stdout.write(f"{one.path} {one.what}\n")
    return len(found)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "verify"], default="list", help="default: list")
    parser.add_argument(
        "--from", dest="url", default="", metavar="…", help=f"the archive, instead of ARCHIVE_URL: {FORM}"
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    if options.action == "verify":
        check_folder(settings, files_of_stores(settings))
    return run(lambda _: archive(settings, options.action, options.url))


COMMAND = Command(
    "list what the archive has, or verify that its files, its manifests and the store agree",
    _run,
    [
        "data_dir",
        "archive_url",
        "archive_path",
        "archive_flush",
        "trades_url",
        "trades_retention",
        "history_url",
        "retention_days",
        "events_url",
        "events_retention",
        "symbols_file",
        "log_level",
    ],
    _add_options,
    description="list prints the datasets with their days, files, rows and bytes. verify reads every file, compares it"
    " with its manifest, and the rows of the hot stores with their files; exit code 1 where something differs.",
)
