"""The pace of a load: how many trades are due by a time. Pure."""

import math


class Pace:
    """Trades at `rate` a second, None for any number at once, for at most `seconds` and at most `count` trades.

    Trades that were due while the producer could not take them are due at once afterwards.
    """

    def __init__(self, rate: float | None, seconds: float | None, count: int | None) -> None:
        self._rate = math.inf if rate is None else rate
        self._seconds = math.inf if seconds is None else seconds
        self._count = math.inf if count is None else count

    @property
    def total(self) -> int | None:
        """The number of trades at the whole, where rate, seconds or count give one."""
        total = min(self._count, self._rate * self._seconds)
        return round(total) if math.isfinite(total) else None

    def due(self, elapsed: float, sent: int, most: int) -> int:
        """Return how many trades to send now, at most `most`: `elapsed` seconds after the start, `sent` before."""
        by_time = self._rate if math.isinf(self._rate) else round(self._rate * min(elapsed, self._seconds), 6)
        return max(0, int(min(by_time, self._count, sent + most)) - sent)

    def is_over(self, elapsed: float, sent: int) -> bool:
        """Whether no trade will be due any more."""
        return elapsed >= self._seconds or sent >= self._count
