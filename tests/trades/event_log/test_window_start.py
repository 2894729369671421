"""The offset at which open windows begin, against its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.trades.event_log.window_start import NEVER, WindowStart, WindowStarts, parse_metadata

SPAN = 310.0
_batches = st.lists(st.tuples(st.integers(1, 9), st.floats(1e9, 1e9 + 3000).map(round)), min_size=1, max_size=60)


@given(_batches, st.integers(0, 5))
def test_every_record_of_the_windows_is_behind_the_start(batches: list[tuple[int, int]], first: int) -> None:
    """Before the offset no trade is within the span of the newest one, and the time says how new they are at most."""
    starts = WindowStarts(SPAN, WindowStart(first, NEVER))
    offset, seen = first, []
    for size, newest in batches:
        seen += [(offset + number, newest) for number in range(size)]
        starts.add(offset, newest)
        offset += size
        current = starts.current
        newest_of_all = max(time for _, time in seen)
        before = [time for place, time in seen if place < current.offset]
        assert max(before, default=NEVER) == current.newest_before
        assert all(time <= newest_of_all - SPAN for time in before)


def test_the_start_moves_on() -> None:
    """With trades in order, the start is at most a second of trades earlier than it must be."""
    starts = WindowStarts(SPAN, WindowStart(0, NEVER))
    for number in range(1000):
        starts.add(number, 1e9 + number)
    assert starts.current == WindowStart(690, 1e9 + 689)


def test_saved_windows_shorten_the_way() -> None:
    """Once windows are saved, reading begins there, until the open windows begin later."""
    starts = WindowStarts(SPAN, WindowStart(0, NEVER))
    for number in range(100):
        starts.add(number, 1e9 + number)
    saved = WindowStart(90, starts.newest, is_saved=True)
    starts.use_saved(saved)
    starts.use_saved(WindowStart(80, starts.newest, is_saved=True))
    assert starts.current == saved
    for number in range(100, 1000):
        starts.add(number, 1e9 + number)
    assert starts.current == WindowStart(690, 1e9 + 689)


@pytest.mark.parametrize(
    "start",
    [WindowStart(0, NEVER), WindowStart(12, 1.7e9, is_saved=True), WindowStart(2**62, 1_764_400_000.125)],
)
def test_metadata(start: WindowStart) -> None:
    """The text of a commit gives the same start."""
    assert parse_metadata(start.as_metadata()) == start


@pytest.mark.parametrize(
    "text", [None, "", "7", "windows:2:1:1", "windows:1:-1:1", "windows:1:1:nan", "windows:1:1:1 "]
)
def test_metadata_of_others(text: str | None) -> None:
    """Anything else is no start."""
    assert parse_metadata(text) is None
