"""The result of a query as a table, CSV, JSON or Parquet, on stdout or in a file."""

import csv
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec

from aggregator.archive.sql.session import Result, SqlSession
from aggregator.cli.replaced_file import replaced
from aggregator.models import encode
from aggregator.runtime.table import print_table

MOST_SHOWN = 1_000  # rows of a table
_AT_ONCE = 1_000
_WIDEST = 10_000  # characters of a line of a table that is not for a terminal
_MOST_CELL = 200  # characters of a cell of a table
_MOST_INTEGER = 2**63  # beyond it, JSON has a text

_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER")

Row = Sequence[object]


class Target(msgspec.Struct, frozen=True):
    """A format of `formats.py`, and the file (None: stdout)."""

    format: str
    path: Path | None


def write_result(session: SqlSession, target: Target) -> None:
    """Run the query and write its result. A file is replaced at the end. Raises QueryRefused, CannotGoOn."""
    if target.path is None:
        try:
            with session.running() as result:
                _write(sys.stdout, result, target.format)
                sys.stdout.flush()
        except BrokenPipeError:  # as after `| head`; the flush at the end of the process must not fail, too
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    with replaced(target.path, "--output") as path:
        if target.format == "parquet":
            session.write_parquet(str(path))
            return
        with session.running() as result, path.open("w", encoding="utf-8", newline="") as file:
            _write(file, result, target.format)


def _write(file: TextIO, result: Result, name: str) -> None:
    writers: dict[str, Callable[[TextIO, Result], None]] = {"table": _table, "csv": _csv, "json": _json}
    writers[name](file, result)


def _table(file: TextIO, result: Result) -> None:
    rows = [*result.next_rows(MOST_SHOWN + 1)]
    texts = {name for name, kind in zip(result.columns, result.types, strict=True) if not kind.startswith(_NUMBERS)}
    cells = ([_shown(value) for value in row] for row in rows[:MOST_SHOWN])
    text = io.StringIO()  # rich would end the process when stdout is closed
    print_table(result.columns, cells, texts, text, shutil.get_terminal_size().columns if file.isatty() else _WIDEST)
    file.write(text.getvalue())
    if len(rows) > MOST_SHOWN:
        file.write(f"The result has more than {MOST_SHOWN:,} rows; --format csv or json writes all of them.\n")


def _csv(file: TextIO, result: Result) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(result.columns)
    for rows in _parts(result):
        writer.writerows([_text(value) for value in row] for row in rows)


def _json(file: TextIO, result: Result) -> None:
    """Write an array with an object for each row. Columns of the same name get numbers."""
    names, mark = _distinct(result.columns), "["
    for rows in _parts(result):
        for row in rows:
            values = {name: _plain(value) for name, value in zip(names, row, strict=True)}
            file.write(f"{mark}\n{encode(values).decode()}")
            mark = ","
    file.write("[]\n" if mark == "[" else "\n]\n")


def _parts(result: Result) -> Iterator[Sequence[Row]]:
    while rows := result.next_rows(_AT_ONCE):
        yield rows


def _distinct(columns: Sequence[str]) -> list[str]:
    found: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in found:
            number += 1
            name = f"{column}_{number}"
        found.append(name)
    return found


def _shown(value: object) -> str:
    text = f"{value:.12g}" if isinstance(value, float) else _text(value)
    text = text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= _MOST_CELL else f"{text[:_MOST_CELL]}…"


def _text(value: object) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, str):
        return plain
    return encode(plain).decode() if isinstance(plain, bool | list | dict) else str(plain)


def _plain(value: object) -> object:
    """Return a value that JSON can have: dates, bytes and other kinds are text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, int):
        return value if abs(value) < _MOST_INTEGER else str(value)
    return value if value is None or isinstance(value, str | float | Decimal) else str(value)
