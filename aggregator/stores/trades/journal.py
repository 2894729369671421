"""The journal of the SQLite store of trades: a row holds the trades of one call, whatever their assets.

Several processes may write to one file. Each reads the rows of the others before it writes, in the same transaction,
and so knows every trade that waits.
"""

from collections.abc import Sequence
from pathlib import Path
from secrets import randbits

import msgspec

from aggregator.errors import StoreRefused
from aggregator.stores.database import Connection
from aggregator.stores.trades.foreign_rows import ForeignRow, foreign_row

SCHEMA = """
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    writer INTEGER NOT NULL,
    body BLOB NOT NULL
)
"""
"""No id is used twice, so that a gap in the ids shows that rows have come and gone."""


class News(msgspec.Struct, frozen=True):
    """The rows that others have written, up to the row `last`.

    `is_gap`: others have written more, which is in blocks already.
    """

    rows: Sequence[ForeignRow]
    is_gap: bool
    last: int


class Journal:
    """The journal as one process sees it. The methods run in the threads of the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = randbits(62)
        self.last = 0  # the last row that is known here
        self._is_shared = False  # whether another process has written since the start

    def append(self, connection: Connection, body: bytes) -> int:
        """Append a row of encoded trades; return its id."""
        row = connection.execute("INSERT INTO journal (writer, body) VALUES (?, ?)", (self._writer, body))
        assert row.lastrowid is not None  # noqa: S101  # an insert sets it
        return row.lastrowid

    def early_news(self, connection: Connection) -> News:
        """As `news`, outside of a transaction. No look at the file before another process has written to it."""
        return self.news(connection) if self._is_shared else News((), is_gap=False, last=self.last)

    def news(self, connection: Connection, known: News | None = None) -> News:
        """Return what others have written since; `known` is returned if nothing came after it.

        To be called within a transaction before an `append`. Raises StoreRefused.
        """
        before = self.last if known is None else known.last
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
        last = row[0] if row else 0
        if last == before:
            return known or News((), is_gap=False, last=last)
        self._is_shared = self._is_shared or known is not None
        found = connection.execute(
            "SELECT id, writer, body FROM journal WHERE id > ? ORDER BY id", (before,)
        ).fetchall()
        last = max([last, *(row for row, _, _ in found)])  # outside of a transaction, there may be more by now
        rows = [self._foreign(row, body) for row, writer, body in found if writer != self._writer]
        is_gap = len(found) != last - before
        return News(rows, is_gap, last) if known is None else News([*known.rows, *rows], is_gap or known.is_gap, last)

    def committed(self, news: News, row: int | None) -> None:
        """Note that the transaction which read `news` and appended `row` is committed."""
        self.last = news.last if row is None else row

    def rows_after(self, connection: Connection, last: int) -> list[ForeignRow]:
        """Return the rows of other processes with an id above `last`. Raises StoreRefused."""
        found = connection.execute(
            "SELECT id, body FROM journal WHERE id > ? AND writer <> ? ORDER BY id", (last, self._writer)
        ).fetchall()
        return [self._foreign(row, body) for row, body in found]

    def _foreign(self, row: int, body: bytes) -> ForeignRow:
        try:
            return foreign_row(row, body)
        except msgspec.DecodeError as error:
            raise StoreRefused(f"the journal of {self._path} holds something else than trades: {error}") from error


def row_ids(connection: Connection) -> set[int]:
    """Return the ids of all rows."""
    return {row for (row,) in connection.execute("SELECT id FROM journal")}


def delete_rows(connection: Connection, rows: Sequence[range]) -> None:
    """Delete rows of which blocks have the trades."""
    for some in rows:
        connection.execute("DELETE FROM journal WHERE id BETWEEN ? AND ?", (some.start, some.stop - 1))
