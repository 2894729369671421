"""The windows of the partitions of a log in Redis: the hashes `<prefix>windows:<log>:<partition>`, by offset.

A hash expires a day after its last change.
"""

from aggregator.stores.redis.client import RedisClient, mapped

_SECONDS = 86_400


class RedisWindows:
    """`aggregator.trades.ports.SavedWindows`. `log` names the log and its group. Raises StoreUnavailable."""

    def __init__(self, client: RedisClient, log: str) -> None:
        self._client = client
        self._log = log

    async def save(self, partition: int, offset: int, body: bytes, before: int) -> None:
        """As `SavedWindows.save`."""
        key = self._key(partition)
        with mapped():
            async with self._client.redis.pipeline(transaction=False) as pipe:
                pipe.hset(key, str(offset), body)
                pipe.expire(key, _SECONDS)
                pipe.hkeys(key)
                found = await pipe.execute()
            old = [name for name in found[-1] if name.isdigit() and int(name) < before]
            if old:
                await self._client.redis.hdel(key, *old)

    async def load(self, partition: int, offset: int) -> bytes | None:
        """As `SavedWindows.load`."""
        with mapped():
            body = await self._client.redis.hget(self._key(partition), str(offset))
        return body if isinstance(body, bytes) else None  # the connection decodes no texts

    def _key(self, partition: int) -> str:
        return f"{self._client.prefix}windows:{self._log}:{partition}"
