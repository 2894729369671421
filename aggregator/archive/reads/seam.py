"""The time before which the archive is read behind a store."""

from collections.abc import Callable

from aggregator.archive.bounds import Span


class Seam:
    """The time at which a store of `retention` seconds ends. `now` is unix seconds.

    The archive is read for a range that begins or ends before what the store keeps. A range from 0 begins nowhere: it
    is that of a client that asks for the newest rows.
    """

    def __init__(self, retention: float, now: Callable[[], float]) -> None:
        self._retention = retention
        self._now = now

    def is_asked(self, start: float, end: float, oldest: float | None) -> bool:
        """Whether a range needs the archive. `oldest` is the time of the last row of a full page, newest first."""
        kept_since = self._kept_since
        begins_before = 0 < start < kept_since or end < kept_since
        return begins_before and (oldest is None or oldest < kept_since)

    def behind(self, start: float, end: float) -> Span:
        """Return the part of a range that the archive may have to fill; empty if its start is after its end."""
        return Span(start, min(end, self._kept_since))

    @property
    def _kept_since(self) -> float:
        return self._now() - self._retention
