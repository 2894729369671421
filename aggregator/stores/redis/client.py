"""One pool of connections to Redis, and its errors in our words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aggregator.errors import StoreUnavailable

_CONNECTIONS = 64


class RedisClient:
    """Everything of ours in that Redis begins with `prefix`; a call is given up after `timeout` seconds."""

    def __init__(self, url: str, timeout: float, prefix: str = "aggregator:") -> None:
        self.prefix = prefix
        self.timeout = timeout
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # No retries by the client: its own can add seconds to a request while Redis is away.
            retry=Retry(NoBackoff(), 0),
        )
        self.redis = redis.Redis.from_pool(pool)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        with mapped():
            await self.redis.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what redis-py and the socket raise into the store's own error.

    And see to it that who is cancelled ends: redis-py sends within asyncio.wait_for, which in Python 3.11 loses a
    cancellation that comes just as the send is done.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        _heed_cancellation()
        raise StoreUnavailable(f"Redis: {error}") from error
    _heed_cancellation()


def _heed_cancellation() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
