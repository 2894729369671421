"""The clock that all processes of a deployment share: that of their Redis."""

import time
from collections.abc import Callable

from aggregator.stores.redis.client import RedisClient, mapped


class RedisClock:
    """Unix seconds: Redis' time at the last `sync`, continued by our monotonic clock.

    It follows no change of this machine's clock, and a change of Redis' clock only at the next `sync`.
    """

    def __init__(self, client: RedisClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = client.redis
        self._monotonic = monotonic
        self._ahead = time.time() - monotonic()

    def now(self) -> float:
        """Return the time in unix seconds."""
        return self._monotonic() + self._ahead

    async def sync(self) -> None:
        """Read Redis' time. Raises StoreUnavailable, and then keeps the last known difference."""
        with mapped():
            seconds, micros = await self._redis.time()
        self._ahead = seconds + micros / 1e6 - self._monotonic()
