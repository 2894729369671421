"""The journal of the SQLite store of trades: a row holds the trades of one call, whatever their assets.

Several processes may write to one file. Each reads the rows of the others before it writes, in the same transaction,
and so knows every trade that waits.
"""

from collections.abc import Sequence
from pathlib import Path
from secrets import randbits

import msgspec

from aggregator.errors import StoreRefused
from aggregator.models import Trade, encode
from aggregator.stores.database import Connection
from aggregator.stores.trades.blocks import decode_trades
from aggregator.stores.trades.pending import Row

SCHEMA = """
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    writer INTEGER NOT NULL,
    body BLOB NOT NULL
)
"""
"""No id is used twice, so that a gap in the ids shows that rows have come and gone."""


class News(msgspec.Struct, frozen=True):
    """The rows that others have written. `is_gap`: others have written more, which is in blocks already.

    `version` is the version of the file's data, `last` the id of the last row that has been written.
    """

    rows: Sequence[Row]
    is_gap: bool
    version: int
    last: int


class Journal:
    """The journal as one process sees it. The methods run in the threads of the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = randbits(62)
        self._version = 0  # changes when another connection has written
        self.last = 0  # the last row that is known here

    def append(self, connection: Connection, trades: Sequence[Trade]) -> int:
        """Append a row; return its id."""
        row = connection.execute("INSERT INTO journal (writer, body) VALUES (?, ?)", (self._writer, encode(trades)))
        assert row.lastrowid is not None  # noqa: S101  # an insert sets it
        return row.lastrowid

    def news(self, connection: Connection) -> News:
        """Return what others have written since; to be called within a transaction, before an `append`.

        Raises StoreRefused.
        """
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return News((), is_gap=False, version=version, last=self.last)
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
        last = row[0] if row else 0
        (count,) = connection.execute("SELECT count(*) FROM journal WHERE id > ?", (self.last,)).fetchone()
        return News(self.rows_after(connection, self.last), count != last - self.last, version, last)

    def committed(self, news: News, row: int | None) -> None:
        """Note that the transaction which read `news` and appended `row` is committed."""
        self._version = news.version
        self.last = news.last if row is None else row

    def rows_after(self, connection: Connection, last: int) -> list[Row]:
        """Return the rows of other processes with an id above `last`. Raises StoreRefused."""
        found = connection.execute(
            "SELECT id, body FROM journal WHERE id > ? AND writer <> ? ORDER BY id", (last, self._writer)
        ).fetchall()
        try:
            return [Row(row, decode_trades(body)) for row, body in found]
        except msgspec.DecodeError as error:
            raise StoreRefused(f"the journal of {self._path} holds something else than trades: {error}") from error


def row_ids(connection: Connection) -> set[int]:
    """Return the ids of all rows."""
    return {row for (row,) in connection.execute("SELECT id FROM journal")}


def delete_rows(connection: Connection, rows: Sequence[range]) -> None:
    """Delete rows of which blocks have the trades."""
    for some in rows:
        connection.execute("DELETE FROM journal WHERE id BETWEEN ? AND ?", (some.start, some.stop - 1))
