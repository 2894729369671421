"""Writes ranges: what the store has, together with what the archive has, in the order of keys, each key once.

    JSON lines of the store + files of the range -> parts -> checked -> put, the last part first -> manifest -> deletion

A crash between any two of these leaves every row in at least one file; the range is written again, from both. Rows only
ever move to the same or a later part, so a part that is put before the one in front of it loses none. Its calls wait:
use one thread, and one writer in a process.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from aggregator.archive.datasets import Dataset
from aggregator.archive.duck import Connection, mapped
from aggregator.archive.layout import HOUR, FileName, manifest_path, parse_path
from aggregator.archive.manifest import FileEntry, Manifest, decode_manifest, encode_manifest
from aggregator.archive.rows import Summary, fill_from_lines, fill_merged, parquet, summary_of, write_parquet
from aggregator.archive.storages.definition import Conflict, Storage
from aggregator.errors import StoreRefused, StoreUnavailable

PART_ROWS = 1_000_000  # of a file; some 20 MB of trades
_ATTEMPTS = 5  # when other writers are faster


class Part:
    """A file under way, checked: its name, where it is now, and its summary."""

    def __init__(self, name: FileName, source: Path, summary: Summary) -> None:
        self.name = name
        self.source = source
        self.size = source.stat().st_size
        self.digest = digest_of(source)
        self.summary = summary

    @property
    def entry(self) -> FileEntry:
        """The entry of the manifest."""
        rows, checksum, first, last = self.summary
        return FileEntry(self.name.path, rows, self.size, checksum, first, last, self.digest)


class RangeWriter:
    """Writes to one storage through one connection. Raises StoreError."""

    def __init__(self, storage: Storage, connection: Connection, part_rows: int = PART_ROWS) -> None:
        self._storage = storage
        self._connection = connection
        self._part_rows = part_rows

    def write(self, dataset: Dataset, start: int, end: int, lines: Sequence[Path], rows: int) -> list[FileEntry]:
        """Write a range, of which the store has `rows` rows in files of JSON lines, at most PART_ROWS in each.

        Return the entries of its files. Where the hour was compacted, its file is written again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._storage.exclusive(), mapped("the archive"), self._cleaned():
                    return self._write(dataset, start, end, lines, rows)
            except Conflict as error:
                structlog.get_logger().info("archive_conflict", path=str(error), attempt=attempt)
        raise StoreUnavailable(f"other processes write {FileName(dataset.name, start, end).path} all the time")

    @contextmanager
    def _cleaned(self) -> Iterator[None]:
        """Delete the parts that could not be put: nothing gathers on the disk while a bucket is away."""
        try:
            yield
        finally:
            for one in self._storage.work_folder.glob("*.parquet"):
                one.unlink(missing_ok=True)

    def manifest(self, dataset: Dataset, at: float) -> Manifest:
        """Return the manifest of the UTC day of a time; an empty one where there is none."""
        return self._manifest(manifest_path(dataset.name, at))[0]

    def clean(self, dataset: Dataset, hour: int) -> None:
        """Delete the files of an hour that a file in the manifest has replaced, and that a crash has left."""
        with self._storage.exclusive():
            listed = self.manifest(dataset, hour).of_hour(hour)
            paths = {one.path for one in listed}
            for path, name in _files_of(self._storage, dataset, hour):
                wider = [one.name for one in listed if one.name.covers(name) and one.name != name]
                if path not in paths and any((one.start, one.end) != (name.start, name.end) for one in wider):
                    self._storage.delete(path)

    def _write(self, dataset: Dataset, start: int, end: int, lines: Sequence[Path], rows: int) -> list[FileEntry]:
        path = manifest_path(dataset.name, start)
        manifest, version = self._manifest(path)
        asked = FileName(dataset.name, start, end)
        target = next((one.name for one in manifest.files if one.name.covers(asked)), asked)
        known = self._existing(manifest, target)
        parts = list(self._parts(dataset, target, lines, sorted(known), rows))
        for part in reversed(parts):
            self._storage.put(part.name.path, part.source, known.get(part.name.path))
        entries = [part.entry for part in parts]
        changed = manifest.replaced(target.start, target.end, entries)
        if changed != manifest:
            self._put_manifest(path, changed, version)
        for old in known.keys() - {one.path for one in entries}:
            self._storage.delete(old)
        return entries

    def _existing(self, manifest: Manifest, target: FileName) -> dict[str, str]:
        """Return the versions of the files whose ranges lie in the target, those that no manifest lists included."""
        found: dict[str, str] = {}
        for one in self._storage.list(_folder_of(target)):
            name = parse_path(one.path)
            if name is not None and target.covers(name):
                found[one.path] = one.version
        missing = [one.path for one in manifest.files if target.covers(one.name) and one.path not in found]
        if missing:
            raise StoreRefused(f"{missing[0]} is in the manifest and is not there; run `aggregator archive verify`")
        return found

    def _parts(
        self, dataset: Dataset, target: FileName, lines: Sequence[Path], known: Sequence[str], rows: int
    ) -> Iterator[Part]:
        """Yield the files of a range."""
        if known:
            files = [self._storage.url(path) for path in known]
            fill_merged(self._connection, dataset, lines, files)
            yield from self._cut(dataset, target, 1)
            return
        written, number = 0, 1
        for one in lines:
            fill_from_lines(self._connection, dataset, one)
            for part in self._cut(dataset, target, number):
                number += 1
                written += part.summary.rows
                yield part
        if written != rows:
            raise StoreUnavailable(f"{written} of {rows} rows are in the files of {target.path}")

    def _cut(self, dataset: Dataset, target: FileName, number: int) -> Iterator[Part]:
        """Yield the table `rows` in parts, each read back and compared with the table."""
        (rows,) = self._connection.execute("SELECT count(*) FROM rows").fetchone()
        for first in range(0, rows, self._part_rows):
            end = min(first + self._part_rows, rows)
            source = self._storage.work_folder / f"{number}.parquet"
            write_parquet(self._connection, source, first, end)
            wanted = summary_of(self._connection, dataset, f"rows WHERE rowid >= {first} AND rowid < {end}")
            found = summary_of(self._connection, dataset, parquet(str(source)))
            if found != wanted:
                raise StoreUnavailable(f"a file of {target.path} has {found}, not {wanted}")
            yield Part(FileName(target.dataset, target.start, target.end, number), source, found)
            number += 1
        self._connection.execute("DROP TABLE rows")

    def _manifest(self, path: str) -> tuple[Manifest, str | None]:
        found = self._storage.read(path)
        if found is None:
            return Manifest(), None
        try:
            return decode_manifest(found[0]), found[1]
        except ValueError as error:
            raise StoreRefused(f"{path}: {error}") from error

    def _put_manifest(self, path: str, manifest: Manifest, version: str | None) -> None:
        source = self._storage.work_folder / "manifest.json"
        with _disk(source):
            source.write_bytes(encode_manifest(manifest))
        self._storage.put(path, source, version)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot use {path}: {error.strerror}") from error


def digest_of(file: Path) -> str:
    """Return the digest of a file, as manifests have it. Raises StoreUnavailable."""
    with _disk(file), file.open("rb") as opened:
        return hashlib.file_digest(opened, new_digest).hexdigest()


def new_digest() -> "hashlib.blake2b":
    """Return the digest of nothing."""
    return hashlib.blake2b(digest_size=16)


def _folder_of(name: FileName) -> str:
    return name.path.rpartition("/")[0]


def _files_of(storage: Storage, dataset: Dataset, hour: int) -> Iterator[tuple[str, FileName]]:
    for one in storage.list(_folder_of(FileName(dataset.name, hour, hour + HOUR))):
        name = parse_path(one.path)
        if name is not None:
            yield one.path, name
