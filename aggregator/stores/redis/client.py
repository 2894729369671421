"""The connections to Redis, and the mapping of redis-py's errors to StoreUnavailable."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aggregator.errors import StoreUnavailable

_CONNECTIONS = 64
CLOSED = "the handler is closed"  # text of uvloop's RuntimeError for a write to a lost connection

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # for a value or message that is not ours


class RedisClient:
    """Two connection pools to one Redis, in which all our keys and channels begin with `prefix`.

    A call times out after `timeout` seconds. Calls that block in Redis, for at most `block_ms`, use the pool `patient`.
    """

    block_ms = 1000

    def __init__(self, url: str, timeout: float, prefix: str = "aggregator:") -> None:
        self.prefix = prefix
        self.timeout = timeout
        self.redis = _connect(url, timeout)
        self.patient = _connect(url, timeout + self.block_ms / 1000)

    def channel(self, name: str) -> str:
        """Return our channel of that name. A Redis' databases share channels, so the name has the database if not 0."""
        database = self.redis.connection_pool.connection_kwargs.get("db") or 0
        return f"{self.prefix}{database}:{name}" if database else f"{self.prefix}{name}"

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        with mapped():
            await self.redis.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        await self.patient.aclose()


def _connect(url: str, timeout: float) -> redis.Redis:
    sign_in = None
    if "iam=" in url:
        from aggregator.stores.redis.iam import sign_in_of  # noqa: PLC0415  # it imports Amazon's libraries

        url, sign_in = sign_in_of(url)
    pool = redis.BlockingConnectionPool.from_url(
        url,
        credential_provider=sign_in,
        max_connections=_CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # No retries: they can add seconds to a request while Redis is away.
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


@contextmanager
def mapped() -> Iterator[None]:
    """Map errors of redis-py and the socket to StoreUnavailable, and raise a cancellation that redis-py has dropped.

    redis-py sends within `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes as it returns.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except (RedisError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and CLOSED not in str(error):
            raise
        _raise_if_cancelled(task, before)
        raise StoreUnavailable(f"Redis: {error}") from error
    _raise_if_cancelled(task, before)


def _raise_if_cancelled(task: asyncio.Task[Any] | None, before: int) -> None:
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
