"""How long an exchange wants to be left alone. Apart from the breaker: being asked too often is no failure of its own.

An answer with Retry-After says how long (RFC 9110: seconds, or a date by the clock of whoever says it). Where one asked
too often is not told, the pauses are ours: short at first, and twice as long each time until it answers again.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from aggregator.errors import RateLimited

SHORTEST, LONGEST = 1.0, 300.0  # seconds; what an exchange says is kept within them
LONGEST_BAN = 3 * 86_400.0  # for one that says it has shut us out: to ask meanwhile would make it longer
FIRST_OWN, LONGEST_OWN = 1.0, 60.0  # seconds, where it says nothing

_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Cooldown:
    """Until when not to ask. Times are seconds of the monotonic `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = -math.inf
        self._next_own = FIRST_OWN

    @property
    def seconds(self) -> float:
        """For how much longer; 0 when not at all."""
        return max(0.0, self._until - self._clock())

    def check(self) -> None:
        """Raise RateLimited while it is to be left alone."""
        left = self.seconds
        if left > 0:
            raise RateLimited(f"quiet for another {math.ceil(left)} s")

    def begin(self, asked: float | None, longest: float = LONGEST) -> bool:
        """Be quiet for `asked` seconds, or for a pause of our own; return whether that is news.

        Calls that were under way together are refused together: only the first of them makes our own pause longer.
        """
        is_news = self.seconds == 0
        if asked is None:
            if not is_news:
                return False
            asked, self._next_own = self._next_own, min(2 * self._next_own, LONGEST_OWN)
        self._until = max(self._until, self._clock() + min(max(asked, SHORTEST), longest))
        return is_news

    def answered(self) -> None:
        """Begin with the short pause again; the answer to a call from before the pause says nothing of now."""
        if self.seconds == 0:
            self._next_own = FIRST_OWN


def retry_after(header: str, date: str, now: float) -> float | None:
    """Return the seconds a Retry-After header asks for, or None where it says nothing that can be read.

    `date` is the same answer's Date header, so that two clocks need not agree; `now` (unix seconds) stands in for it.
    """
    text = header.strip()
    if not text:  # most answers: no need to try to read a date
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _unix_seconds(text)
    if until is None:
        return None
    said_at = _unix_seconds(date)
    return max(0.0, until - (now if said_at is None else said_at))


def _unix_seconds(date: str) -> float | None:
    """Read an HTTP date, in any of its three forms; one without a zone is GMT, as all of them are."""
    try:
        found = parsedate_to_datetime(date)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
