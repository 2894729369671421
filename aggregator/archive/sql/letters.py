"""The view `dead_letters` of a query: the JSON files of the archive, one for each dead letter."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from aggregator.archive.bounds import Span
from aggregator.archive.duck import Connection, quoted
from aggregator.archive.errors import QueryRefused
from aggregator.archive.layout import DAY

NAME = "dead_letters"
PATTERN = "dead-letters/*/*/*/*.json"
_TIME = "TIMESTAMP WITH TIME ZONE"
_COLUMNS: Mapping[str, str] = {
    "timestamp": _TIME,
    "kind": "VARCHAR",
    "id": "VARCHAR",
    "source": "VARCHAR",
    "asset": "VARCHAR",
    "first_failed": _TIME,
    "attempts": "BIGINT",
    "retries": "BIGINT",
    "code": "VARCHAR",
    "reason": "VARCHAR",
    "raw": "VARCHAR",
}
_MOST_FILES = 20_000  # of one query
_DAY = re.compile(r"/dead-letters/(\d{4})/(\d\d)/(\d\d)/[^/]+")


def in_span(files: Sequence[str], span: Span) -> list[str]:
    """Return the files of the days of a span, of all that there are. Raises QueryRefused."""
    found = [one for one in files if _is_in(one, span)]
    if len(found) > _MOST_FILES:
        raise QueryRefused(
            f"the time that the query reads has {len(found):,} dead letters, it may read {_MOST_FILES:,}",
            "read a shorter time, such as WHERE timestamp >= now() - INTERVAL 1 DAY",
        )
    return found


def create_empty(connection: Connection, schema: str) -> str:
    """Create an empty table and the view over it; return the name of the table in a plan."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    connection.execute(f"CREATE TABLE {schema}.{NAME} ({columns})")
    connection.execute(f"CREATE VIEW {NAME} AS FROM {schema}.{NAME}")
    return f"memory.{schema}.{NAME}"


def create_letters(connection: Connection, schema: str, files: Sequence[str]) -> None:
    """Create the view over files."""
    if not files:
        create_empty(connection, schema)
        return
    shown = ", ".join(
        f"make_timestamptz(round({name} * 1e6)::BIGINT) AS {name}" if kind == _TIME else name
        for name, kind in _COLUMNS.items()
    )
    kinds = ", ".join(f"{name}: {quoted('DOUBLE' if kind == _TIME else kind)}" for name, kind in _COLUMNS.items())
    listed = ", ".join(map(quoted, files))
    connection.execute(
        f"CREATE VIEW {NAME} AS SELECT {shown} FROM"
        f" read_json([{listed}], format='newline_delimited', columns={{{kinds}}})"
    )


def _is_in(file: str, span: Span) -> bool:
    match = _DAY.search(file)
    if match is None:
        return False
    try:
        day = datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC).timestamp()
    except ValueError:
        return False
    return day <= span.end and day + DAY > span.start
