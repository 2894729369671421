"""Trades in CSV and NDJSON files, plain or gzipped. A file is read line by line, never as a whole."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from aggregator.cli.replay.rows import NAMES, NUMBERS, Row, Rows, Unusable, Values, as_number, as_text, is_number

if TYPE_CHECKING:
    import _csv  # which has the type of csv.reader's result

MOST_OF_LINE = 64 << 10  # bytes
_GZIP = b"\x1f\x8b"
_NULL = b"null"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

Columns = Sequence[tuple[int | None, Callable[[str], bytes]]]
"""For each field, the place of its column (None: there is none), and how to write its texts as JSON."""


class Broken(Exception):
    """The file cannot be read beyond some place; the rows before it are sound. The message names the place."""


class Source(NamedTuple):
    """An open file of trades: its rows in order, what was read of it so far, and its size in the same unit."""

    rows: Iterator[Row]
    position: Callable[[], int]
    size: int
    close: Callable[[], None]


def open_csv(path: Path, rows: Rows) -> Source:
    """Open a CSV file whose first line has the names of its columns. Raises Unusable, OSError."""
    return open_file(path, lambda file: _csv_rows(path, file, rows))


def open_ndjson(path: Path, rows: Rows) -> Source:
    """Open a file with one JSON object per line. Raises OSError."""
    return open_file(path, lambda file: _ndjson_rows(path, file, rows))


def open_file(path: Path, read: Callable[[io.BufferedIOBase], Iterator[Row]]) -> Source:
    """Open a file, gzipped or not, whose rows `read` yields. Raises OSError, and what `read` raises."""
    with ExitStack() as stack:
        opened = stack.enter_context(path.open("rb"))
        file: io.BufferedIOBase = opened
        if opened.peek(2)[:2] == _GZIP:
            file = stack.enter_context(gzip.open(opened, "rb"))
        rows = read(file)
        close = stack.pop_all().close
    return Source(rows, opened.tell, path.stat().st_size, close)


def lines_of(path: Path, file: io.BufferedIOBase, most: int = MOST_OF_LINE) -> Iterator[bytes]:
    """Yield the lines, each with its end, of at most `most` bytes. Raises Broken."""
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Broken(f"{path}, line {number}: {getattr(error, 'strerror', None) or error}") from error
        if len(line) > most:
            raise Broken(f"{path}, line {number}: longer than {most} bytes")
        if not line:
            return
        yield line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _csv_rows(path: Path, file: io.BufferedIOBase, rows: Rows) -> Iterator[Row]:
    """Read the header now, and the rows when they are asked for."""
    reader = csv.reader(line.decode(errors="replace") for line in lines_of(path, file))
    try:
        header = next(reader, [])
    except (csv.Error, Broken) as error:
        raise Unusable(f"{path}: {error}") from error
    return _csv_body(path, reader, columns_of([name.strip().lower() for name in header], str(path)), rows)


def _csv_body(path: Path, reader: "_csv.Reader", columns: Columns, rows: Rows) -> Iterator[Row]:
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Broken(f"{path}, line {reader.line_num}: {error}") from error
        if cells is None:
            return
        if cells:
            yield rows.row(reader.line_num, _csv_values(cells, columns))


def _csv_values(cells: Sequence[str], columns: Columns) -> Values:
    most = len(cells)
    return [
        convert(text) if place is not None and place < most and (text := cells[place].strip()) else None
        for place, convert in columns
    ]


def columns_of(header: Sequence[str], file: str) -> Columns:
    """Return where a header of lower-case names has the fields.

    Raises Unusable where there is no column for the price or the time.
    """
    places = {field: _place(names, header) for field, names in NAMES.items()}
    for field in ("price", "timestamp"):
        if places[field] is None:
            raise Unusable(
                f"{file} has no column {' or '.join(NAMES[field])}",
                f"its first line must name the columns; those it names: {', '.join(header)[:200] or 'none'}",
            )
    return [(places[field], as_number if field in NUMBERS else as_text) for field in NAMES]


def _place(names: Sequence[str], header: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _ndjson_rows(path: Path, file: io.BufferedIOBase, rows: Rows) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path, file), 1):
        text = line.strip()
        if not text:
            continue
        try:
            found = _object.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield Row(number, None, text.replace(b"\r", b" "))  # the service refuses it with its reason
            continue
        yield rows.row(number, _ndjson_values(found))


def _ndjson_values(found: Mapping[str, msgspec.Raw]) -> Values:
    return [
        _ndjson_value(field, next((found[name] for name in names if name in found), None))
        for field, names in NAMES.items()
    ]


def _ndjson_value(field: str, raw: msgspec.Raw | None) -> bytes | None:
    value = b"" if raw is None else bytes(raw)
    if not value or value == _NULL:
        return None
    if field in NUMBERS:
        inner = value[1:-1]
        return inner if value[:1] == b'"' and is_number(inner.decode(errors="replace")) else value
    return value if value[:1] in b'"{[tf' else b'"' + value + b'"'
