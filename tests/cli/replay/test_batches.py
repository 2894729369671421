"""Batches: the pace, the bounds of a batch, and that no row is lost or moved."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.cli.replay.batches import MOST_BYTES, MOST_ROWS, TOGETHER, Batch, Pace, batches
from aggregator.cli.replay.files import Broken
from aggregator.cli.replay.rows import Row

SECOND = 1_000_000


def row(number: int, at: int | None = None, size: int = 8) -> Row:
    """Return a row whose line has its number."""
    return Row(number, at, b"%0*d" % (size, number))


def test_the_pace() -> None:
    """A row is due at its distance from the first one, divided by the speed."""
    pace = Pace(10)
    assert [pace.due(1000 * SECOND + at) for at in (0, 5 * SECOND, 10 * SECOND)] == [0, 0.5, 1]


def test_rows_that_nobody_waits_for() -> None:
    """Late rows, rows without a time and rows of the future are due at once, and delay no row after them."""
    pace = Pace(1, latest=100 * SECOND)
    times = [None, 10 * SECOND, 12 * SECOND, 11 * SECOND, 101 * SECOND, 13 * SECOND]
    assert [pace.due(at) for at in times] == [0, 0, 2, 2, 2, 3]


@pytest.mark.parametrize(("size", "rows"), [(8, MOST_ROWS), (60_000, MOST_BYTES // 60_001)])
def test_as_fast_as_possible(size: int, rows: int) -> None:
    """Each batch is as large as a call may be, in rows and bytes."""
    found = list(batches((row(number, size=size) for number in range(2 * rows + 1)), Pace(None)))
    assert [len(batch.numbers) for batch in found] == [rows, rows, 1]
    assert all(len(batch.body) <= MOST_BYTES and batch.due == 0 for batch in found)


def test_rows_that_are_due_together() -> None:
    """A batch has rows of 50 ms, in the time of the replay, and is due with its last one."""
    times = [0, 400_000, 500_000, 600_000]
    found = list(batches((row(number, at) for number, at in enumerate(times)), Pace(10)))
    assert [(batch.numbers, batch.due) for batch in found] == [([0, 1, 2], 0.05), ([3], 0.06)]


@given(
    st.lists(st.none() | st.integers(0, 10 * SECOND), max_size=60),
    st.none() | st.floats(0.01, 1000),
    st.integers(0, 60),
)
def test_nothing_is_lost_or_moved(times: list[int | None], speed: float | None, breaks_at: int) -> None:
    """The lines of all batches are those of the file up to where it breaks, in order, and no batch is due early."""
    rows = [row(number, at) for number, at in enumerate(times)]

    def read() -> Iterator[Row]:
        yield from rows[:breaks_at]
        if breaks_at < len(rows):
            raise Broken("here")

    found: list[Batch] = []
    with pytest.raises(Broken) if breaks_at < len(rows) else nullcontext():
        found.extend(batches(read(), Pace(speed)))
    assert b"".join(batch.body for batch in found) == b"".join(one.line + b"\n" for one in rows[:breaks_at])
    dues = [batch.due for batch in found]
    assert dues == sorted(dues)
    if speed is not None and dues:
        sent = [number for batch in found for number in batch.numbers]
        pace = Pace(speed)
        due = {number: pace.due(times[number]) for number in sent}
        assert all(0 <= batch.due - due[number] <= TOGETHER for batch in found for number in batch.numbers)
