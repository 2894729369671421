"""A DuckDB connection in which one query reads the views of the datasets, and nothing else.

    the query -> plan over empty tables -> the times that it reads -> files of the archive, rows of the hot stores
              -> views over both -> access and settings locked -> the query, until its deadline

All calls block: they belong into a thread. `interrupt` and `progress` may be called from another one.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

import msgspec

from aggregator.archive.archive_files import ArchiveFiles
from aggregator.archive.bounds import Span, spans_of
from aggregator.archive.datasets import DATASETS, TIME
from aggregator.archive.duck import Connection, file_url, quoted
from aggregator.archive.errors import QueryRefused, refusals
from aggregator.archive.manifest import FileEntry
from aggregator.archive.sql.letters import NAME, PATTERN, create_empty, create_letters, in_span
from aggregator.archive.sql.statement import checked
from aggregator.archive.sql.views import HOT, PLANNED, create_hot, create_planned, create_view, insert_rows
from aggregator.archive.storages.address import ArchiveAddress


class Bounds(msgspec.Struct, frozen=True):
    """Limits of a query: folders with a slash at their ends, a file to write, seconds, bytes on disk."""

    folders: Sequence[str]
    written: str | None
    seconds: float
    temporary_bytes: int


class Result(msgspec.Struct, frozen=True):
    """Names and types of the columns, and a function that returns the next rows, at most as many as asked for.

    Times with a time zone are text, RFC 3339 in UTC with microseconds.
    """

    columns: Sequence[str]
    types: Sequence[str]
    next_rows: Callable[[int], Sequence[Sequence[object]]]


class SqlSession:
    """One query on one connection. `connect` opens a connection that can read the files of the archive.

    Raises QueryRefused, also from the constructor.
    """

    def __init__(self, connect: Callable[[], Connection], query: str, bounds: Bounds) -> None:
        self._query = checked(query)
        self._subquery = f"(\n{self._query}\n)"  # the last line may end in a comment
        self._bounds = bounds
        self._connect = connect
        self._connection = connect()
        self._ends_at = time.monotonic() + bounds.seconds
        self._is_stopped = False
        self._letters: Sequence[str] = ()
        self._hot = set[str]()  # the datasets with hot rows
        create_hot(self._connection, [*DATASETS.values()])

    def spans(self) -> Mapping[str, Span]:
        """Return the times that the query reads of each dataset that it reads."""
        with closing(self._connect()) as connection:
            tables = {**create_planned(connection, [*DATASETS.values()])}
            tables[create_empty(connection, PLANNED)] = NAME
            # The statistics of empty tables would remove every scan from the plan.
            connection.execute("SET disabled_optimizers = 'statistics_propagation'")
            self._lock(connection)
            with self._in_time(connection):
                found = connection.execute(f"EXPLAIN (FORMAT json) {self._query}").fetchall()
        return spans_of(json.loads(found[-1][1]), tables)

    def add(self, dataset: str, lines: bytes) -> None:
        """Add rows of a hot store, as JSON lines."""
        self._hot.add(dataset)
        with self._in_time(self._connection):
            insert_rows(self._connection, DATASETS[dataset], lines)

    def entries(self, address: ArchiveAddress | None, spans: Mapping[str, Span]) -> dict[str, list[FileEntry]]:
        """Return the files of each dataset that may have rows of its span. Raises StoreError, too."""
        if address is None:
            return {}
        lake = ArchiveFiles(address, self._connection)
        with self._in_time(self._connection):
            if NAME in spans:
                self._letters = in_span(lake.files(PATTERN), spans[NAME])
            return {name: lake.entries(name, span) for name, span in spans.items() if name in DATASETS}

    def is_empty(self, address: ArchiveAddress) -> bool:
        """Whether an archive has no day of any dataset, and no dead letter. Raises StoreError, too."""
        lake = ArchiveFiles(address, self._connection)
        with self._in_time(self._connection):
            return not any(lake.days(name) for name in DATASETS) and not lake.files(PATTERN)

    def prepare(self, address: ArchiveAddress | None, entries: Mapping[str, Sequence[FileEntry]]) -> None:
        """Create the views over the files of each dataset and the rows that were added, and lock the connection."""
        with self._in_time(self._connection):
            for name, dataset in DATASETS.items():
                files = [file_url(address, one.path) for one in entries.get(name, ())] if address else []
                create_view(self._connection, dataset, files, has_hot=name in self._hot)
            create_letters(self._connection, HOT, self._letters)
            self._lock(self._connection)

    @contextmanager
    def running(self) -> Iterator[Result]:
        """Run the query; yield the result, whose rows can be fetched until the deadline.

        DuckDB's relations (`connection.sql`) would keep Python's lock while they read files: no deadline, no Ctrl-C.
        """
        with self._in_time(self._connection):
            found = self._connection.execute(f"DESCRIBE FROM {self._subquery}").fetchall()
            columns, kinds = [str(row[0]) for row in found], [str(row[1]) for row in found]
            values = ", ".join(_fetched(place, kind) for place, kind in enumerate(kinds, 1))
            result = self._connection.execute(f"FROM {self._subquery} SELECT {values}")
            yield Result(columns, kinds, result.fetchmany)

    def write_parquet(self, path: str) -> None:
        """Write the result to the file that may be written."""
        with self._in_time(self._connection):
            self._connection.execute(f"COPY {self._subquery} TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)")

    def progress(self) -> float:
        """Return how much of the query is done, from 0 to 1; negative while that is unknown."""
        done: float = self._connection.query_progress()
        return done

    def interrupt(self) -> None:
        """Stop the query, now or at its next step."""
        self._is_stopped = True
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _lock(self, connection: Connection) -> None:
        """Allow the folders of the archive only, and no change of a setting."""
        bounds = self._bounds
        settings: Sequence[tuple[str, object]] = (
            ("allowed_directories", list(bounds.folders)),
            ("allowed_paths", [] if bounds.written is None else [bounds.written]),
            ("max_temp_directory_size", f"{bounds.temporary_bytes}B"),
            ("enable_progress_bar", True),
            ("enable_progress_bar_print", False),
            ("enable_external_access", False),
            ("lock_configuration", True),
        )
        for name, value in settings:
            connection.execute(f"SET {name} = {_literal(value)}")

    @contextmanager
    def _in_time(self, connection: Connection) -> Iterator[None]:
        """Interrupt the connection at the deadline, and raise its errors as QueryRefused."""
        if self._is_stopped:
            raise self.stop_error()
        timer = threading.Timer(max(0.0, self._ends_at - time.monotonic()), connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            with refusals(self.stop_error):
                yield
        finally:
            timer.cancel()

    def stop_error(self) -> QueryRefused:
        """Return the error of a query that was stopped, or has reached its deadline."""
        if self._is_stopped:
            return QueryRefused("stopped")
        return QueryRefused(
            f"the query took more than {self._bounds.seconds:g} seconds", "read a shorter time, or raise --timeout"
        )


def _fetched(place: int, kind: str) -> str:
    """Return the SQL of a column of the result; Python's own times with a zone would need pytz."""
    if kind == TIME:
        return f"strftime(#{place}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"CAST(#{place} AS VARCHAR)" if "TIME ZONE" in kind else f"#{place}"


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return quoted(value) if isinstance(value, str) else str(value).lower()
