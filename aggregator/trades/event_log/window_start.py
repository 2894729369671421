"""The offset of a partition at which its open windows begin, and the commit metadata that keeps it. Pure.

The offset of a Kinesis shard is a sequence number, of up to 129 digits.

A processor that takes a partition over reads from this offset up to the committed one to build the windows again.
"""

import re
from collections import deque
from typing import NamedTuple

_GRAIN = 1.0  # seconds of event time between two offsets that are kept
_MOST = 10_000  # offsets that are kept
_METADATA = re.compile(r"windows:1:(\d{1,129}):(\d{1,12}(?:\.\d{1,6})?)(:saved)?")
NEVER = 0.0


class WindowStart(NamedTuple):
    """An offset, and the newest event time, in unix seconds, of all trades before it; NEVER if there are none.

    `is_saved`: the windows as they were before this offset, or somewhat later, are saved: see saved_windows.py.
    """

    offset: int
    newest_before: float
    is_saved: bool = False

    def as_metadata(self) -> str:
        """Return the text that `parse_metadata` reads."""
        return f"windows:1:{self.offset}:{self.newest_before:.6f}{':saved' * self.is_saved}"


def parse_metadata(text: str | None) -> WindowStart | None:
    """Return the window start in the metadata of a commit; None if it has none, as a commit of other software."""
    match = _METADATA.fullmatch(text or "")
    return None if match is None else WindowStart(int(match[1]), float(match[2]), bool(match[3]))


class WindowStarts:
    """Finds the window start of a partition. `span` is the event time, in seconds, that windows reach back.

    `first` is where reading began.
    """

    def __init__(self, span: float, first: WindowStart) -> None:
        self._span = span
        self._newest = first.newest_before
        self._kept: deque[WindowStart] = deque([first])

    def add(self, offset: int, newest: float) -> None:
        """Take trades that begin at `offset` and whose newest event time is `newest`; offsets must rise."""
        if self._newest >= self._kept[-1].newest_before + _GRAIN and offset > self._kept[-1].offset:
            self._kept.append(WindowStart(offset, self._newest))
        self._newest = max(self._newest, newest)
        since = self._newest - self._span
        while len(self._kept) > 1 and (self._kept[1].newest_before <= since or len(self._kept) > _MOST):
            self._kept.popleft()

    def use_saved(self, start: WindowStart) -> None:
        """Begin at `start`, of which the windows are saved, unless they begin later."""
        if start.offset >= self._kept[0].offset:
            self._kept = deque([start, *(one for one in self._kept if one.offset > start.offset)])

    @property
    def newest(self) -> float:
        """The newest event time of all trades so far, in unix seconds; NEVER before the first."""
        return self._newest

    @property
    def current(self) -> WindowStart:
        """The newest kept offset before which every trade is older than the windows, or in the saved ones."""
        return self._kept[0]
