"""The views of a query: the files of the archive, and the rows that only the hot stores have.

A column of DECIMAL(38,18) is a DOUBLE in its view, and has all its digits in another column, `exact_…`: the product of
two such decimals does not fit into any decimal of DuckDB, and `sum(price * volume)` would fail.
"""

from collections.abc import Mapping, Sequence

import msgspec

from aggregator.archive.datasets import PARTITIONS, Dataset
from aggregator.archive.duck import Connection, quoted
from aggregator.archive.rows import columns_of_lines, line_types

HOT, PLANNED = "hot", "planned"
_HIVE_TYPES = ", ".join(f"'{name}': BIGINT" for name in PARTITIONS)


def create_planned(connection: Connection, datasets: Sequence[Dataset]) -> Mapping[str, str]:
    """Create the views over empty tables; return the names of the datasets by those of the tables in a plan."""
    statements = [f"CREATE SCHEMA {PLANNED}"]
    for one in datasets:
        table = f"{PLANNED}.{one.name}"
        columns = ", ".join(
            [*(f'"{name}" {kind}' for name, kind in one.columns.items()), *(f"{name} BIGINT" for name in PARTITIONS)]
        )
        statements += [
            f"CREATE TABLE {table} ({columns})",
            f"CREATE VIEW {one.name} AS SELECT {_shown(one)} FROM {table}",
        ]
    connection.execute(";".join(statements))
    return {f"memory.{PLANNED}.{one.name}": one.name for one in datasets}


def create_hot(connection: Connection, datasets: Sequence[Dataset]) -> None:
    """Create the tables of hot rows."""
    statements = [f"CREATE SCHEMA {HOT}"]
    for one in datasets:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in one.columns.items())
        statements.append(f"CREATE TABLE {HOT}.{one.name} ({columns})")
    connection.execute(";".join(statements))


def create_view(connection: Connection, dataset: Dataset, files: Sequence[str], *, has_hot: bool) -> None:
    """Create the view over files and hot rows; over the files alone where there are no hot rows."""
    times = ", ".join(f'{name}("{dataset.time}") AS {name}' for name in PARTITIONS)
    parts = []
    if has_hot or not files:
        parts.append(f"SELECT {_shown(dataset)} FROM (SELECT *, {times} FROM {HOT}.{dataset.name})")
    if files:
        listed = ", ".join(map(quoted, files))
        read = f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{{_HIVE_TYPES}}})"
        parts.append(f"SELECT {_shown(dataset)} FROM {read}")
    connection.execute(f"CREATE VIEW {dataset.name} AS {' UNION ALL '.join(parts)}")


def insert_rows(connection: Connection, dataset: Dataset, lines: bytes) -> None:
    """Add hot rows: JSON lines, whose times are in unix seconds; other fields are ignored."""
    form = quoted(msgspec.json.encode([line_types(dataset)]).decode())
    fields = f"SELECT unnest(from_json(?, {form}), max_depth := 2)"
    array = b"[%b]" % lines.rstrip().replace(b"\n", b",")
    query = f"INSERT INTO {HOT}.{dataset.name} SELECT {columns_of_lines(dataset)} FROM ({fields})"
    connection.execute(query, [array.decode()])


def _shown(dataset: Dataset) -> str:
    """Return the list of columns of the view."""
    as_double = {name: f'CAST("{name}" AS DOUBLE)' for name in dataset.decimals}
    as_double |= {decimal: f'"{double}"' for double, decimal in dataset.doubles.items()}
    columns = [
        f'{as_double[name]} AS "{name}"' if name in as_double else f'"{name}"'
        for name in dataset.columns
        if name not in dataset.doubles
    ]
    exact = [f'"{name}" AS "exact_{name}"' for name in dataset.decimals]
    return ", ".join([*columns, *PARTITIONS, *exact])
