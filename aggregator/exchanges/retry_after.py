"""The cool-down of a venue that wants no calls for a while, and the reading of the Retry-After header.

The cool-down is apart from the circuit breaker: that we ask too often is no failure of the venue. An answer with
Retry-After tells how long to wait (RFC 9110: seconds, or a date by the sender's clock). Where a venue refuses a call
without telling for how long, the pauses are our own: a short one at first, and twice as long each time until the venue
answers again.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from aggregator.errors import RateLimited

SHORTEST, LONGEST = 1.0, 300.0  # seconds; bounds of what a venue asks for
LONGEST_BAN = 3 * 86_400.0  # seconds, for a venue that says it has banned us: calls meanwhile would prolong the ban
FIRST_OWN, LONGEST_OWN = 1.0, 60.0  # seconds, where the venue does not tell

_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Cooldown:
    """Until when to send no calls. Times are seconds of the monotonic `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = -math.inf
        self._next_own = FIRST_OWN

    @property
    def seconds(self) -> float:
        """Seconds left; 0 outside a cool-down."""
        return max(0.0, self._until - self._clock())

    def check(self) -> None:
        """Raise RateLimited during a cool-down."""
        left = self.seconds
        if left > 0:
            raise RateLimited(f"quiet for another {math.ceil(left)} s")

    def begin(self, asked: float | None, longest: float = LONGEST) -> bool:
        """Begin a cool-down of `asked` seconds, or of our own pause; return whether there was none before.

        Several calls under way are refused together: only the first refusal makes our own pause longer.
        """
        is_new = self.seconds == 0
        if asked is None:
            if not is_new:
                return False
            asked, self._next_own = self._next_own, min(2 * self._next_own, LONGEST_OWN)
        self._until = max(self._until, self._clock() + min(max(asked, SHORTEST), longest))
        return is_new

    def answered(self) -> None:
        """Reset our own pause. Within a cool-down, the answer is to an earlier call and changes nothing."""
        if self.seconds == 0:
            self._next_own = FIRST_OWN


def retry_after(header: str, date: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None for one that is empty or cannot be read.

    `date` is the Date header of the same answer, so that the venue's clock need not agree with ours; without one,
    `now` (unix seconds) is used.
    """
    text = header.strip()
    if not text:  # as in most answers: skips the attempt to read a date
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _unix_seconds(text)
    if until is None:
        return None
    sent_at = _unix_seconds(date)
    return max(0.0, until - (now if sent_at is None else sent_at))


def _unix_seconds(date: str) -> float | None:
    """Return an HTTP date, in any of its three forms, in unix seconds. A date without a zone is GMT."""
    try:
        found = parsedate_to_datetime(date)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
