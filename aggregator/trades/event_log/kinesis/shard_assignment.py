"""A shard of a Kinesis stream as a partition of the log: the state from its lease being taken to its being lost."""

from collections import deque

from aggregator.errors import StoreRefused
from aggregator.models import FUTURE_TOLERANCE
from aggregator.trades.event_log.kinesis.client import is_sequence_number
from aggregator.trades.event_log.kinesis.shard_plan import Lease
from aggregator.trades.event_log.partition import Assignment
from aggregator.trades.event_log.window_start import WindowStart, WindowStarts, parse_metadata
from aggregator.trades.ports import PartitionLag

ENDLESS = 10**130  # above every sequence number


class ShardAssignment(Assignment):
    """One shard of this process; a sequence number is its offset. For the event loop only.

    `taken_at` is when the lease was taken, in monotonic seconds. `span` is as for WindowStarts.
    """

    def __init__(self, lease: Lease, taken_at: float, span: float) -> None:
        committed = int(lease.checkpoint) + 1 if is_sequence_number(lease.checkpoint) else 0
        start = parse_metadata(lease.windows)
        if start is not None and start.offset > committed:
            start = None
        super().__init__(number_of(lease.shard), committed, lease.windows, ENDLESS, start, span)
        self.shard = lease.shard
        self.start = lease.start
        self.initial = lease.checkpoint
        """The checkpoint as it was when the lease was taken."""

        self.confirmed_at = taken_at
        """The time at which the last successful write of the lease was sent, in monotonic seconds."""

        self.is_asked = False
        """Set to have the lease confirmed."""

        self.wanted_by = ""
        """The process that the lease shall be passed to."""

        self.has_ended = False
        """All records of the shard have been read."""

        self.behind = 0.0
        """The distance of the last read from the end of the shard, in seconds."""

        self.read_to = 0
        """The position after the last record that was read; 0 before the first."""

        self._is_exact = start is not None
        self._waiting: deque[tuple[int, int]] = deque()  # positions after batches that are not processed, and counts

    @property
    def checkpoint(self) -> tuple[str, str]:
        """The checkpoint and the window start, as the lease keeps them."""
        position, metadata = self.processed
        return (str(position - 1) if position else self.initial), metadata

    @property
    def waiting(self) -> int:
        """The records that were read and are not processed."""
        position, _ = self.processed
        while self._waiting and self._waiting[0][0] <= position:
            self._waiting.popleft()
        return sum(count for _, count in self._waiting)

    def read(self, first: int, last: int, count: int, arrived: float) -> None:
        """Note records that were read, from sequence number `first`, which arrived at unix second `arrived`, to `last`.

        If reading did not begin where the open windows do, the trades of the windows before it are unknown: they may
        be in the parents of the shard, or older than its retention.
        """
        if not self.read_to and not (self._is_exact and first == self.starts.current.offset):
            self.exact_since = float("inf")
            self.starts = WindowStarts(self._span, WindowStart(first, arrived + FUTURE_TOLERANCE))
        self.read_to = last + 1
        self._waiting.append((self.read_to, count))


def lag_of(one: ShardAssignment, now: float) -> PartitionLag:
    """Return how far a shard is behind at unix second `now`: records that were read, and seconds."""
    records = one.waiting
    waited = max(0.0, now - one.processed_time) if records and one.processed_time > 0 else 0.0
    return PartitionLag(one.partition, records, round(max(one.behind, waited), 3))


def number_of(shard: str) -> int:
    """Return the number of a shard, such as 12 of `shardId-000000000012`, which a stream of DynamoDB ends with `-a1b2`.

    Raises StoreRefused for another form.
    """
    number = (shard.split("-")[1:] or [""])[0]
    if not (number.isascii() and number.isdecimal() and len(number.lstrip("0")) < 19):  # noqa: PLR2004  # fits into 64 bits
        raise StoreRefused(f"the shard {shard[:40]!r} has no number")
    return int(number)
