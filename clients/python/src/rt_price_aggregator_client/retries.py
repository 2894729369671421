"""Retries: which failures are tried again, and after how long. No I/O."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from rt_price_aggregator_client.errors import AggregatorError, ConnectionFailed, RateLimited, Refused, Unavailable

_NEVER = frozenset({"too_many_invalid_keys"})  # another attempt with the same key only prolongs it


@dataclass(frozen=True, slots=True)
class Retries:
    """The policy of retries: `attempts` in all, with waits of at most `longest_wait` seconds.

    The service's `Retry-After` is honoured; if it is longer than `longest_wait`, the error is raised at once. Without
    it the wait is random, up to `first_wait`, twice that, and so on.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 30.0
    jitter: Callable[[], float] = random.random

    def wait(self, failure: AggregatorError, attempt: int, *, repeatable: bool) -> float | None:
        """Return the seconds to wait after the failure of an attempt, counted from 1; None if it is final."""
        if attempt >= self.attempts or not repeatable or not is_passing(failure):
            return None
        asked = failure.retry_after if isinstance(failure, Refused) else None
        if asked is None:
            return self.backoff(attempt)
        return asked + self.jitter() * self.first_wait if asked <= self.longest_wait else None

    def backoff(self, attempt: int) -> float:
        """Return a random wait, from half of to all of `first_wait` doubled with every attempt."""
        longest = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 30))
        return longest * (0.5 + self.jitter() / 2)


def is_passing(failure: AggregatorError) -> bool:
    """Whether another attempt may succeed: a lost connection, overload, a rate limit."""
    if isinstance(failure, Refused):
        return isinstance(failure, RateLimited | Unavailable) and failure.code not in _NEVER
    return isinstance(failure, ConnectionFailed)
