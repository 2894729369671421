"""Inspection of an archive: an overview, and comparisons of manifest, files and store."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.archive.datasets import DATASETS, Dataset
from aggregator.archive.duck import Connection, mapped
from aggregator.archive.layout import MANIFEST, FileName, parse_path
from aggregator.archive.manifest import FileEntry, Manifest, decode_manifest
from aggregator.archive.rows import fill_merged, parquet, summary_of
from aggregator.archive.sources import Source
from aggregator.archive.storages.definition import Storage
from aggregator.archive.writes.marks import Range
from aggregator.archive.writes.spool import Spool
from aggregator.archive.writes.writer import new_digest
from aggregator.errors import StoreUnavailable

_ATTEMPTS = 3  # of a comparison, while the archiver writes


class Problem(NamedTuple):
    """A difference, at the path of a file or of a folder."""

    path: str
    what: str


class Day(NamedTuple):
    """The manifest of a day, and the files that are there, with their sizes by path."""

    folder: str
    manifest: Manifest
    sizes: dict[str, int]
    error: str = ""


def days_of(storage: Storage, dataset: Dataset) -> Iterator[Day]:
    """Yield the days of a dataset in order. Raises StoreError."""
    folders: dict[str, dict[str, int]] = {}
    for one in storage.list(f"{dataset.name}/"):
        if (parts := one.path.split("/"))[-1] == MANIFEST or parse_path(one.path):
            folders.setdefault("/".join(parts[:4]), {})[one.path] = one.size
    for folder, sizes in sorted(folders.items()):
        found = storage.read(f"{folder}/{MANIFEST}")
        sizes.pop(f"{folder}/{MANIFEST}", None)
        try:
            yield Day(folder, Manifest() if found is None else decode_manifest(found[0]), sizes)
        except ValueError as error:
            yield Day(folder, Manifest(), sizes, str(error))


def check_day(storage: Storage, connection: Connection, dataset: Dataset, day: Day) -> Iterator[Problem]:
    """Yield what differs between the manifest and the files of a day. Reads every file. Raises StoreError."""
    if day.error:
        yield Problem(f"{day.folder}/{MANIFEST}", day.error)
    listed = {one.path for one in day.manifest.files}
    for path in sorted(day.sizes.keys() - listed):
        yield Problem(path, "is not in the manifest")
    names = [one.name for one in day.manifest.files]
    for first, second in pairwise(names):
        if second.start < first.end and (first.start, first.end) != (second.start, second.end):
            yield Problem(second.path, f"overlaps {first.path}")
    for entry in day.manifest.files:
        if entry.path not in day.sizes:
            yield Problem(entry.path, "is in the manifest and is not there")
        elif day.sizes[entry.path] != entry.bytes:
            yield Problem(entry.path, f"has {day.sizes[entry.path]} bytes, the manifest says {entry.bytes}")
        elif what := _check_content(storage, connection, dataset, entry):
            yield Problem(entry.path, what)


def _check_content(storage: Storage, connection: Connection, dataset: Dataset, entry: FileEntry) -> str:
    if entry.digest and (read := storage.read(entry.path)) is not None:
        digest = new_digest()
        digest.update(read[0])
        if digest.hexdigest() != entry.digest:
            return "has other bytes than were written"
    try:
        with mapped("cannot be read"):
            found = summary_of(connection, dataset, parquet(storage.url(entry.path)))
    except StoreUnavailable as error:
        return str(error)
    if found.rows != entry.rows:
        return f"has {found.rows} rows, the manifest says {entry.rows}"
    is_comparable = found.checksum.partition(":")[0] == entry.checksum.partition(":")[0]
    if is_comparable and found.checksum != entry.checksum:
        return f"has the checksum {found.checksum}, the manifest says {entry.checksum}"
    return ""


class StoreCheck:
    """Compares the archive with a store. `pending` returns the ranges that the archiver is still to write.

    Only ranges from `start` on are compared; what is older may have left the store. Raises StoreError.
    """

    def __init__(
        self,
        storage: Storage,
        connection: Connection,
        source: Source,
        assets: Sequence[str],
        pending: Callable[[], Awaitable[Collection[Range]]],
        seconds: int,
    ) -> None:
        self._storage = storage
        self._connection = connection
        self._source = source
        self._assets = assets
        self._pending = pending
        self._seconds = seconds

    async def first(self) -> float:
        """Return the time at which the archive begins, in unix seconds; infinity where it is empty."""
        return min((one.name.start for one in await asyncio.to_thread(self._entries)), default=math.inf)

    async def problems(self, start: float) -> AsyncIterator[Problem]:
        """Yield the ranges in which the store has other events than the archive."""
        entries = await asyncio.to_thread(self._entries)
        names = sorted({(one.name.start, one.name.end) for one in entries if one.name.start >= start})
        for one in names:
            if not await self._agrees(one):
                yield Problem(FileName(self._source.dataset.name, *one).path, "lacks events that the store has")
        covered = {(one.name.start, one.name.end) for one in entries}
        for one in sorted(await self._missing(covered, start)):
            if not await self._is_pending(one):
                yield Problem(FileName(self._source.dataset.name, *one).path, "is not there, and the store has events")

    def _entries(self) -> list[FileEntry]:
        return [entry for day in days_of(self._storage, self._source.dataset) for entry in day.manifest.files]

    async def _agrees(self, one: Range) -> bool:
        """Whether the archive has everything that the store has of a range, or is still to write it."""
        for _ in range(_ATTEMPTS):
            if await self._has_all(one) or await self._is_pending(one):
                return True
        return False

    async def _has_all(self, one: Range) -> bool:
        spool = Spool(self._storage.work_folder, self._source.lines)
        try:
            for asset in self._assets:
                async for page in self._source.pages(asset, *one):
                    await asyncio.to_thread(spool.add, page)
            spool.finish()
            return await asyncio.to_thread(self._contains, one, spool)
        finally:
            spool.close()

    def _contains(self, one: Range, spool: Spool) -> bool:
        """Whether the files of a range and the events of the store together have no other rows than the files."""
        files = [entry for entry in self._entries() if one[0] <= entry.name.start and entry.name.end <= one[1]]
        urls = [self._storage.url(entry.path) for entry in files]
        try:
            with mapped("cannot be read"):
                fill_merged(self._connection, self._source.dataset, spool.files, urls)
                both = summary_of(self._connection, self._source.dataset)
                if not urls:
                    return not both.rows
                return both == summary_of(self._connection, self._source.dataset, parquet(*urls))
        except StoreUnavailable:
            return False

    async def _missing(self, covered: Collection[Range], start: float) -> set[Range]:
        """Return the ranges with events that no file covers."""
        missing = set[Range]()
        starts = {at for first, end in [*covered] for at in range(first, end, 60)}
        for asset in self._assets:
            at = start
            while (found := await self._source.first(asset, at)) is not None:
                minute = int(found) - int(found) % 60
                if minute in starts:
                    at = minute + 60
                    while at in starts:
                        at += 60
                else:
                    first = int(found) - int(found) % self._seconds
                    missing.add((first, first + self._seconds))
                    at = first + self._seconds
        return missing

    async def _is_pending(self, one: Range) -> bool:
        return any(start < one[1] and one[0] < end for start, end in await self._pending())


def overview(storage: Storage) -> list[tuple[str, int, int, int, int]]:
    """Return name, days, files, rows and bytes of each dataset that has any. Raises StoreError."""
    found: list[tuple[str, int, int, int, int]] = []
    for dataset in DATASETS.values():
        days = [day for day in days_of(storage, dataset) if day.manifest.files]
        files = [entry for day in days for entry in day.manifest.files]
        if files:
            sums = (sum(one.rows for one in files), sum(one.bytes for one in files))
            found.append((dataset.name, len(days), len(files), *sums))
    return found
