"""Batches of a replay: when each row is due, and which rows are sent together. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aggregator.cli.replay.files import Broken
from aggregator.cli.replay.rows import Row

MOST_ROWS = 1_000  # POST /ingest takes no more in a call
MOST_BYTES = 900 << 10  # it takes 1 MB
TOGETHER = 0.05  # seconds: rows that are due within this time are sent together


class Batch(NamedTuple):
    """Rows that are sent together. `due` is in seconds after the start, `numbers` has the rows' places in the file."""

    due: float
    numbers: list[int]
    body: bytes


class Pace:
    """Says when rows are due, by their own times divided by `speed`; None for as soon as possible.

    `latest`, in unix microseconds, is the last time that a trade can have; None if there is no such time. The replay
    does not wait for a wrong time after it: that row is due at once, as is a row without a time, or one that is older
    than the row before.
    """

    def __init__(self, speed: float | None, latest: int | None = None) -> None:
        self._speed = speed
        self._latest = latest
        self._first: int | None = None
        self._due = 0.0

    def due(self, at: int | None) -> float:
        """Return the seconds after the start at which a row with this time is due; never less than for earlier rows."""
        if self._speed is None or at is None or (self._latest is not None and at > self._latest):
            return self._due
        if self._first is None:
            self._first = at
        self._due = max(self._due, (at - self._first) / 1e6 / self._speed)
        return self._due


def batches(rows: Iterable[Row], pace: Pace) -> Iterator[Batch]:
    """Yield all rows in batches, in order. Raises Broken after the batch with the last row that could be read."""
    batch = _Growing()
    broken = None
    try:
        for row in rows:
            due = pace.due(row.at)
            if batch.numbers and not batch.takes(row, due):
                yield batch.done()
                batch = _Growing()
            batch.add(row, due)
    except Broken as error:
        broken = error
    if batch.numbers:
        yield batch.done()
    if broken is not None:
        raise broken


class _Growing:
    """A batch that is not full yet."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._lines: list[bytes] = []
        self._bytes = 0
        self._first_due = 0.0
        self._due = 0.0

    def takes(self, row: Row, due: float) -> bool:
        full = len(self.numbers) == MOST_ROWS or self._bytes + len(row.line) + 1 > MOST_BYTES
        return not full and due <= self._first_due + TOGETHER

    def add(self, row: Row, due: float) -> None:
        if not self.numbers:
            self._first_due = due
        self._due = due
        self.numbers.append(row.number)
        self._lines.append(row.line)
        self._bytes += len(row.line) + 1

    def done(self) -> Batch:
        return Batch(self._due, self.numbers, b"\n".join(self._lines) + b"\n")
