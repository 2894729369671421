"""Trades of a partitioned log: what the processor needs to know of the partition they come from."""

import math
import threading
from typing import NamedTuple

from aggregator.models import FUTURE_TOLERANCE
from aggregator.trades.event_log.window_start import NEVER, WindowStart, WindowStarts
from aggregator.trades.ports import Appended

NOTHING = -1  # an offset that is not known


class Done(NamedTuple):
    """The progress of a partition: next offset, metadata of its commit, time of the last record."""

    following: int
    metadata: str
    time: float


class Assignment:
    """One partition, from its assignment to this process until it is taken away.

    Records before `committed` have been processed by an earlier owner. Those before `end`, the end of the partition at
    the time of the assignment, may have been stored by one. `start` is where the open windows begin, None if that is
    not known or cannot be read any more. The consumer's thread and the event loop share an assignment: each attribute
    is written by one of them.
    """

    def __init__(
        self, partition: int, committed: int, metadata: str, end: int, start: WindowStart | None, span: float
    ) -> None:
        self.partition = partition
        self.committed = committed
        self.uncertain_until = end
        self.exact_since = math.inf if start is None else start.newest_before
        """Event time, in unix seconds. The records that are read again have every trade that is newer."""

        self.starts = WindowStarts(span, start or WindowStart(committed, NEVER))
        self._span = span
        self._is_unknown = start is None and committed > 0
        self.is_lost = False
        """Another process may own the partition: nothing more may be published or committed."""

        self.is_ending = False
        """Another process is to have the partition: no more of its records are taken into work."""

        self.released = threading.Event()
        """Set once the processor has forgotten the assets of the partition."""

        self.processed = committed, metadata
        """The next offset to process, and the metadata for its commit."""

        self.sent = committed
        """The offset of the last commit that was sent."""

        self.end = end
        """The end of the partition, as far as it is known."""

        self.processed_time = NOTHING * 1.0
        """The time at which the last processed record was appended, in unix seconds by the broker or its producer."""

    def begin(self, first: int, arrived: float) -> None:
        """Note the first record that is read, which arrived at unix second `arrived`.

        Where the window start is not known, the trades before this record are as new as its arrival at most. The next
        owner must not take its windows for complete before.
        """
        if self._is_unknown:
            self._is_unknown = False
            self.starts = WindowStarts(self._span, WindowStart(first, arrived + FUTURE_TOLERANCE))

    def take(self, done: Done | None) -> None:
        """Note how far the partition is processed; None: its assets are forgotten."""
        if done is None:
            self.released.set()
        else:
            self.processed, self.processed_time = (done.following, done.metadata), done.time


class FromPartition(Appended):
    """Trades of one partition, in the order of their offsets, from `first` to before `following`.

    `time` is that of the last record, as `Assignment.processed_time`; `letters` the number of dead letters that must be
    kept before the part is committed. `is_replayed`: an earlier owner has stored and published the trades; they are
    needed for windows only. `ends_replay`: the last of those. `is_uncertain`: an earlier owner may have stored them and
    not published them. `ends`: no trades, but the end of the assignment.
    """

    assignment: Assignment
    first: int
    following: int
    time: float
    letters: int = 0
    is_replayed: bool = False
    ends_replay: bool = False
    is_uncertain: bool = False
    ends: bool = False
