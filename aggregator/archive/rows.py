"""Rows between JSON lines, a table of DuckDB and Parquet files.

    JSON lines (decimals as text, times in seconds) -> table `rows` -> Parquet

DuckDB casts a text to DECIMAL(38,18) in 7 us, and to DECIMAL(18,9) in 0.1 us. So a number of up to 10 characters goes
by DECIMAL(18,9), one of up to 19 by a 64-bit integer and a factor, and only the rest by the slow cast.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aggregator.archive.datasets import DECIMAL, TIME, Dataset
from aggregator.archive.duck import Connection, quoted

_FACTORS = ", ".join(f"{10.0**-places:.{places}f}::DECIMAL(19,18)" for places in range(19))
_SHORT, _LONG = 10, 19  # characters: nine digits and a point; eighteen digits and a point
_NULL = "NULL::VARCHAR"


class Summary(NamedTuple):
    """The number of rows, the checksum, and the times of the first and the last row in microseconds."""

    rows: int
    checksum: str
    first: int
    last: int


def fill_from_lines(connection: Connection, dataset: Dataset, file: Path) -> None:
    """Make the table `rows` of a file of JSON lines, in their order."""
    connection.execute(f"CREATE OR REPLACE TABLE rows AS {_from_lines(dataset, [file])}")


def fill_merged(connection: Connection, dataset: Dataset, lines: Sequence[Path], files: Sequence[str]) -> None:
    """Make the table `rows` of JSON lines and Parquet files, in the order of keys, each key once.

    Of several rows with a key, one of the lines is taken.
    """
    names = ", ".join(dataset.columns)
    parts = [f"SELECT {names}, 0 AS age FROM ({_from_lines(dataset, lines)})"] if lines else []
    if files:
        parts.append(f"SELECT {names}, 1 AS age FROM {parquet(*files)}")
    key = ", ".join(dataset.key)
    connection.execute(
        f"CREATE OR REPLACE TABLE rows AS SELECT {names} FROM ({' UNION ALL '.join(parts)})"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY age) = 1 ORDER BY {key}"
    )


def summary_of(connection: Connection, dataset: Dataset, source: str = "rows") -> Summary:
    """Return the summary of a table; of a Parquet file, with the SQL of a function as `source`."""
    columns = ", ".join(dataset.columns)
    time = f"epoch_us({dataset.time})"
    rows, total, first, last, version = connection.execute(
        f"SELECT count(*), coalesce(sum(hash({columns})::HUGEINT), 0) % 18446744073709551616::HUGEINT,"
        f" coalesce(min({time}), 0), coalesce(max({time}), 0), version() FROM {source}"
    ).fetchone()
    release = ".".join(str(version).lstrip("v").split(".")[:2])
    return Summary(rows, f"{release}:{total:016x}", first, last)


def parquet(*urls: str) -> str:
    """Return the SQL of Parquet files as a table."""
    return f"read_parquet([{', '.join(map(quoted, urls))}], hive_partitioning=false)"


def line_types(dataset: Dataset) -> dict[str, str]:
    """Return the SQL type of each field of a JSON line."""
    read_as = {DECIMAL: "VARCHAR", TIME: "DOUBLE"}
    derived = {"exact", *dataset.doubles}
    return {name: read_as.get(kind, kind) for name, kind in dataset.columns.items() if name not in derived}


def columns_of_lines(dataset: Dataset) -> str:
    """Return the SQL of the columns, made of the fields of JSON lines."""
    return ", ".join(_column(dataset, name, kind) for name, kind in dataset.columns.items())


def write_parquet(connection: Connection, target: Path, first: int, end: int) -> None:
    """Write the rows first <= number < end of the table `rows`, counted from 0, to a file."""
    connection.execute(
        f"COPY (SELECT * FROM rows WHERE rowid >= {first} AND rowid < {end}) TO {quoted(str(target))}"
        " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 2)"
    )


def _from_lines(dataset: Dataset, files: Sequence[Path]) -> str:
    listed = ", ".join(quoted(str(one)) for one in files)
    kinds = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in line_types(dataset).items())
    return (
        f"SELECT {columns_of_lines(dataset)} FROM read_json([{listed}], format='newline_delimited',"
        f" columns={{{kinds}}}, maximum_object_size=4194304)"
    )


def _column(dataset: Dataset, name: str, kind: str) -> str:
    if name == "exact":
        return f"{_exact(dataset)} AS exact"
    if kind == TIME:
        return f"make_timestamptz(round({name} * 1e6)::BIGINT) AS {name}"
    if decimal := dataset.doubles.get(name):
        return f"TRY_CAST({decimal} AS DOUBLE) AS {name}"
    return f"{_decimal(name)} AS {name}" if kind == DECIMAL else name


def _decimal(name: str) -> str:
    """Return the SQL of a text as DECIMAL(38,18): rounded, or null, where it does not fit."""
    digits = f"CAST(replace({name}, '.', '') AS BIGINT)::DECIMAL(19,0)"
    places = f"CASE WHEN contains({name}, '.') THEN strlen({name}) - strpos({name}, '.') ELSE 0 END"
    return (
        f"CASE WHEN strlen({name}) <= {_SHORT} AND TRY_CAST({name} AS DECIMAL(18,9)) IS NOT NULL"
        f" AND NOT contains({name}, 'E') THEN TRY_CAST({name} AS DECIMAL(18,9))::{DECIMAL}"
        f" WHEN strlen({name}) <= {_LONG} AND NOT contains({name}, 'E')"
        f" THEN {digits} * [{_FACTORS}][{places} + 1]"
        f" ELSE TRY_CAST({name} AS {DECIMAL}) END"
    )


def _exact(dataset: Dataset) -> str:
    """Return the SQL of the column `exact`: a JSON object of the numbers that do not fit, or null."""
    plain = " AND ".join(
        f"({name} IS NULL OR (strlen({name}) <= {_LONG} AND NOT contains({name}, 'E')))" for name in dataset.decimals
    )
    pairs = ", ".join(
        f"CASE WHEN {_misfits(name)} THEN '\"{name}\":\"' || {name} || '\"' END" for name in dataset.decimals
    )
    return f"CASE WHEN {plain} THEN {_NULL} ELSE '{{' || nullif(concat_ws(',', {pairs}), '') || '}}' END"


def _misfits(name: str) -> str:
    """Return the SQL of whether a text has more than 18 decimals, or is too large."""
    mantissa = f"split_part({name}, 'E', 1)"
    exponent = f"CASE WHEN contains({name}, 'E') THEN CAST(split_part({name}, 'E', 2) AS INTEGER) ELSE 0 END"
    return f"(strlen(split_part({mantissa}, '.', 2)) - {exponent} > 18 OR TRY_CAST({name} AS {DECIMAL}) IS NULL)"
