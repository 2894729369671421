"""Pages of archived rows: one asset, a range of times, the order of keys.

`read_page` blocks: it belongs into a thread. It opens few files at a time, from the end of the range where the page
begins, until the page is full.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from aggregator.archive.archive_files import ArchiveFiles
from aggregator.archive.bounds import Span
from aggregator.archive.duck import Connection, file_url, quoted
from aggregator.archive.errors import Interrupted, reading
from aggregator.archive.manifest import FileEntry
from aggregator.archive.storages.address import ArchiveAddress
from aggregator.ports import RangeTooLong

T = TypeVar("T")

_FIRST, _MORE = 2, 24  # files that are opened together
_LATEST = 1e11  # seconds: later times are read as this one


class Form(msgspec.Struct, Generic[T], frozen=True):
    """The rows of a dataset as they are read: the SQL of the columns, the key beside asset and time, and the value.

    `value` makes it of the asset and a row. Raises StoreRefused.
    """

    dataset: str
    columns: str
    key: Sequence[str]
    value: Callable[[str, Sequence[object]], T]


class Page(msgspec.Struct, frozen=True):
    """A page to read: at most `limit` rows of `asset` in `span`, behind the key `after` in this direction.

    A key has the time in unix seconds, and what the key of the form has.
    """

    asset: str
    span: Span
    limit: int
    newest_first: bool
    after: tuple[float, *tuple[str, ...]] | None = None

    @property
    def rest(self) -> Span:
        """The part of the span that can have rows behind `after`."""
        if self.after is None:
            return self.span
        edge = self.after[0]
        return self.span.intersection(Span(end=edge) if self.newest_first else Span(start=edge))


def read_page(
    connection: Connection,
    address: ArchiveAddress,
    form: Form[T],
    page: Page,
    most_files: int,
    is_stopped: Callable[[], bool],
) -> list[T]:
    """Return the rows of a page. Raises RangeTooLong, StoreUnavailable, StoreRefused and Interrupted."""
    found: list[T] = []
    opened, size = 0, _FIRST
    files = _in_order(ArchiveFiles(address, connection), form.dataset, page)
    while len(found) < page.limit and (some := [*islice(files, size)]):
        if is_stopped():
            raise Interrupted
        opened += len(some)
        if opened > most_files:
            raise RangeTooLong(f"more than {most_files} files of the archive would be read")
        urls = [file_url(address, one.path) for one in some]
        with reading():
            rows = _rows(connection, urls, form, page, page.limit - len(found))
        found += [form.value(page.asset, row) for row in rows]
        size = _MORE
    return found


def _in_order(lake: ArchiveFiles, dataset: str, page: Page) -> Iterator[FileEntry]:
    """Yield the files of the page, the one with its first rows first. Ranges of files do not overlap."""
    days = lake.days_of(dataset, page.rest)
    for day in reversed(days) if page.newest_first else days:
        entries = lake.entries_of(dataset, [day], page.rest)
        yield from reversed(entries) if page.newest_first else entries


def _rows(
    connection: Connection, urls: Sequence[str], form: Form[T], page: Page, limit: int
) -> Sequence[Sequence[object]]:
    order, sign = ("DESC", "<") if page.newest_first else ("ASC", ">")
    span, key = page.rest, ("timestamp", *form.key)
    conditions = [
        "asset = $asset",
        f"timestamp >= {_time(microseconds(span.start))}",
        f"timestamp <= {_time(microseconds(span.end, is_end=True))}",
    ]
    columns = f"epoch_us(timestamp), {form.columns}"
    values: dict[str, object] = {"asset": page.asset}
    if page.after is not None:
        at, *rest = page.after
        names = [f"after_{name}" for name in form.key]
        values |= dict(zip(names, rest, strict=True))
        beyond = ", ".join([_time(microseconds(at)), *(f"${name}" for name in names)])
        conditions.append(f"({', '.join(key)}) {sign} ({beyond})")
    source = f"read_parquet([{', '.join(map(quoted, urls))}])"
    ordered = ", ".join(f"{name} {order}" for name in key)
    query = f"SELECT {columns} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {ordered} LIMIT {limit}"
    found: Sequence[Sequence[object]] = connection.execute(query, values).fetchall()
    return found


def microseconds(seconds: float, *, is_end: bool = False) -> int:
    """Return the first microsecond that is not before a time; the last that is not after it for the end of a range.

    A time is that of a microsecond if it is the float next to it.
    """
    seconds = min(max(seconds, 0.0), _LATEST)
    nearest = round(seconds * 1e6)
    if is_end:
        return nearest - (nearest / 1e6 > seconds)
    return nearest + (nearest / 1e6 < seconds)


def _time(at: int) -> str:
    return f"make_timestamptz({at})"
