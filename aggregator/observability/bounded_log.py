"""Log lines of events that come at any rate, such as a venue's messages: most of them are at level debug."""

import time
from collections.abc import Callable

import structlog

MOST_LINES = 20  # of one event within a minute
_SECONDS = 60.0


class BoundedLog:
    """Logs up to MOST_LINES lines of an event within a minute at their level, and the others at debug.

    Events are a few constant names. `clock` is monotonic; `fields` are in each line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, **fields: str) -> None:
        self._clock = clock
        self._log = structlog.get_logger().bind(**fields)
        self._minutes: dict[str, tuple[float, int]] = {}  # by event, when its minute ends and its lines in it

    def info(self, event: str, **fields: object) -> None:
        """Log an event of normal operation."""
        (self._log.info if self._has_room(event) else self._log.debug)(event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a failure."""
        (self._log.error if self._has_room(event) else self._log.debug)(event, **fields)

    def _has_room(self, event: str) -> bool:
        now = self._clock()
        end, lines = self._minutes.get(event, (now, 0))
        if now >= end:
            end, lines = now + _SECONDS, 0
        self._minutes[event] = end, lines + 1
        return lines < MOST_LINES
