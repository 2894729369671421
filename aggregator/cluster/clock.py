"""The one clock that all processes on a Redis share: Redis' own."""

import time
from collections.abc import Callable

from aggregator.stores.redis.client import RedisClient, mapped


class RedisClock:
    """Unix seconds by Redis' clock, as of the last `sync`, and by our monotonic one since: it jumps with neither."""

    def __init__(self, client: RedisClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = client.redis
        self._monotonic = monotonic
        self._ahead = time.time() - monotonic()

    def now(self) -> float:
        """Return the time."""
        return self._monotonic() + self._ahead

    async def sync(self) -> None:
        """Ask Redis. Raises StoreUnavailable, and then goes on as it was."""
        with mapped():
            seconds, micros = await self._redis.time()
        self._ahead = seconds + micros / 1e6 - self._monotonic()
