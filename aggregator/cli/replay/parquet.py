"""Trades in Parquet files, read by DuckDB (the extra `archive`)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aggregator.cli.replay.files import Broken, Columns, Source, columns_of
from aggregator.cli.replay.rows import Row, Rows, Unusable
from aggregator.libraries.extras import install

_AT_ONCE = 2_000  # rows that are fetched together
_SETTINGS = {"threads": 1, "memory_limit": "256MB", "autoinstall_known_extensions": False}


def open_parquet(path: Path, rows: Rows) -> Source:
    """Open a Parquet file whose columns are named as those of a CSV file. Raises Unusable, OSError."""
    try:
        import duckdb  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise Unusable("Parquet needs DuckDB, which is not installed", install("archive")) from error
    with path.open("rb"):
        pass  # DuckDB's error for a file that cannot be read has no errno
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    try:
        return _source(connection, path, rows)
    except duckdb.Error as error:
        connection.close()
        raise Unusable(f"{path} cannot be read as Parquet: {_first_line(error)}") from error
    except Unusable:
        connection.close()
        raise


def _source(connection: Any, path: Path, rows: Rows) -> Source:
    (size,) = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    columns = columns_of([str(name).lower() for name, *_ in described], str(path))
    chosen = [_text_of(str(name), str(kind)) for name, kind, *_ in described]
    query = f"SELECT {', '.join(chosen)} FROM read_parquet(?)"  # noqa: S608  # names of columns, quoted
    result = connection.execute(query, [str(path)])
    reader = _Reader(result, path, columns, rows)
    return Source(reader.rows(), lambda: reader.read, size, connection.close)


def _text_of(name: str, kind: str) -> str:
    """Return the SQL of a column as text; a timestamp becomes unix microseconds."""
    quoted = '"' + name.replace('"', '""') + '"'
    return f"CAST({f'epoch_us({quoted})' if kind.startswith('TIMESTAMP') else quoted} AS VARCHAR)"


class _Reader:
    """Reads rows from a result, some at a time."""

    def __init__(self, result: Any, path: Path, columns: Columns, rows: Rows) -> None:
        self._result = result
        self._path = path
        self._columns = columns
        self._rows = rows
        self.read = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows; the number of a row counts from 1."""
        while cells := self._next():
            for row in cells:
                self.read += 1
                values = [_value(row, place, convert) for place, convert in self._columns]
                yield self._rows.row(self.read, values)

    def _next(self) -> list[tuple[str | None, ...]]:
        import duckdb  # noqa: PLC0415  # an optional extra

        try:
            found: list[tuple[str | None, ...]] = self._result.fetchmany(_AT_ONCE)
        except duckdb.Error as error:
            raise Broken(f"{self._path}, after row {self.read}: {_first_line(error)}") from error
        return found


def _value(row: tuple[str | None, ...], place: int | None, convert: Callable[[str], bytes]) -> bytes | None:
    text = None if place is None else row[place]
    return convert(text) if text else None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
