"""Percentiles of the latencies of the last minute."""

from collections import deque
from collections.abc import Callable

_SECONDS = 60.0
_MOST = 4096  # measurements that are kept


class LatencyWindow:
    """The measurements of the last minute, the newest 4,096 of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._measured: deque[tuple[float, float, int]] = deque(maxlen=_MOST)

    def add(self, seconds: float, weight: int) -> None:
        """Add a latency that `weight` trades had."""
        self._measured.append((self._clock(), seconds, weight))

    def percentiles(self, *shares: float) -> tuple[float | None, ...]:
        """Return, for each share from 0 to 1, the latency that this share of the trades had at most; None without any.

        Shares in rising order.
        """
        since = self._clock() - _SECONDS
        recent = sorted((seconds, weight) for at, seconds, weight in self._measured if at >= since)
        total = sum(weight for _, weight in recent)
        found: list[float | None] = []
        passed = 0
        for seconds, weight in recent:
            passed += weight
            while len(found) < len(shares) and passed >= shares[len(found)] * total:
                found.append(seconds)
        return (*found, *[None] * (len(shares) - len(found)))
