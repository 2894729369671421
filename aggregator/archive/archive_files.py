"""The files of an archive that have rows of a time, by the manifests of its days.

All calls block: they belong into a thread. They raise StoreUnavailable and StoreRefused.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from aggregator.archive.bounds import Span
from aggregator.archive.duck import Connection, file_url
from aggregator.archive.errors import reading
from aggregator.archive.layout import DAY, MANIFEST, manifest_path
from aggregator.archive.manifest import FileEntry, decode_manifest
from aggregator.archive.storages.address import ArchiveAddress
from aggregator.errors import StoreRefused

_DAY = re.compile(r"/year=(\d{4})/month=(\d\d)/day=(\d\d)/")
_AT_ONCE = 400  # manifests that are read together


class ArchiveFiles:
    """Reads an archive through a connection that may read it."""

    def __init__(self, address: ArchiveAddress, connection: Connection) -> None:
        self._address = address
        self._connection = connection

    def entries(self, dataset: str, span: Span) -> list[FileEntry]:
        """Return the files that may have rows of a span, in order of time."""
        return self.entries_of(dataset, self.days_of(dataset, span), span)

    def days_of(self, dataset: str, span: Span) -> list[int]:
        """Return the first second of each UTC day that has a manifest, and a time of the span."""
        return [day for day in self.days(dataset) if day <= span.end and day + DAY > span.start]

    def entries_of(self, dataset: str, days: Sequence[int], span: Span) -> list[FileEntry]:
        """Return the files of some days that may have rows of a span, in order of time."""
        found: list[FileEntry] = []
        for raw in self._read([manifest_path(dataset, day) for day in days]):
            try:
                manifest = decode_manifest(raw)
            except ValueError as error:
                raise StoreRefused(f"the archive has a manifest that cannot be read: {error}") from error
            found.extend(manifest.between(span.start, span.end))
        return found

    def days(self, dataset: str) -> list[int]:
        """Return the first second of each UTC day that has a manifest."""
        files = self.files(f"{dataset}/year=*/month=*/day=*/{MANIFEST}")
        return [day for file in files if (day := _day_of(file)) is not None]

    def files(self, pattern: str) -> list[str]:
        """Return the addresses of the files whose paths match a pattern, in order."""
        with reading():
            query = "SELECT file FROM glob(?) ORDER BY file"
            rows = self._connection.execute(query, [self._url(pattern)]).fetchall()
        return [file for (file,) in rows]

    def _read(self, paths: Sequence[str]) -> Iterator[bytes]:
        for first in range(0, len(paths), _AT_ONCE):
            part = [self._url(path) for path in paths[first : first + _AT_ONCE]]
            with reading():
                query = "SELECT content FROM read_blob(?) ORDER BY filename"
                rows = self._connection.execute(query, [part]).fetchall()
            yield from (raw for (raw,) in rows)

    def _url(self, path: str) -> str:
        return file_url(self._address, path)


def covered(entries: Sequence[FileEntry]) -> list[Span]:
    """Return the times that files have all rows of; a span does not have its `end`."""
    return [Span(one.name.start, one.name.end) for one in entries]


def over(entries: Iterable[FileEntry], now: float) -> list[FileEntry]:
    """Return the files whose ranges have ended."""
    return [one for one in entries if one.name.end <= now]


def _day_of(path: str) -> int | None:
    match = _DAY.search(path)
    if match is None:
        return None
    year, month, day = map(int, match.groups())
    try:
        return int(datetime(year, month, day, tzinfo=UTC).timestamp())
    except ValueError:
        return None
