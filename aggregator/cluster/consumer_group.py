"""One consumer of the consumer group on a Redis stream, and the clock that all processes on this Redis share."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from aggregator.stores.redis.client import RedisClient, mapped

_NAME = "refreshers"
_GONE_MS = 3_600_000  # a consumer that has not read for so long is from a process that has ended


class Entry(msgspec.Struct, frozen=True):
    """An entry of a stream. Its `id` is `milliseconds-sequence`."""

    id: str
    fields: Mapping[str, str]

    @property
    def time(self) -> float:
        """The time in its id, in unix seconds, by the clock of the process or Redis that set the id."""
        return int(self.id.partition("-")[0]) / 1000


class Group:
    """Reads for `consumer`. Creates the group where it is missing, as in a new or emptied Redis.

    Raises redis-py's errors, which the caller maps.
    """

    def __init__(self, client: RedisClient, stream: str, consumer: str) -> None:
        self._redis = client.redis
        self._stream = stream
        self._consumer = consumer
        self._blocking_redis = client.patient
        self._block_ms = client.block_ms

    async def read(self, *, acknowledged: bool = False) -> Entry | None:
        """Return the next new entry, or None after `block_ms`. With `acknowledged`, it cannot be claimed later."""
        try:
            found: Any = await self._blocking_redis.xreadgroup(
                _NAME, self._consumer, {self._stream: ">"}, count=1, block=self._block_ms, noack=acknowledged
            )
        except ResponseError as error:
            await self._create_group(error)
            return None
        return next((_entry(entry) for _, entries in found or () for entry in entries), None)

    async def claim(self, idle_ms: int) -> Entry | None:
        """Return an entry that a consumer got `idle_ms` ago and has not acknowledged, or None."""
        try:
            found: Any = await self._redis.xautoclaim(self._stream, _NAME, self._consumer, idle_ms, count=1)
        except ResponseError as error:
            await self._create_group(error)
            return None
        return next((_entry(entry) for entry in found[1] if entry[1] is not None), None)  # None: trimmed

    async def acknowledge(self, entry_id: str) -> None:
        """Mark the entry as done, so that no consumer claims it."""
        await self._redis.xack(self._stream, _NAME, entry_id)

    async def forget_the_gone(self) -> None:
        """Delete consumers that have not read for an hour and have no pending entry: each process start adds one."""
        if not await self._redis.exists(self._stream):
            return
        try:
            consumers: Any = await self._redis.xinfo_consumers(self._stream, _NAME)
        except ResponseError as error:
            await self._create_group(error)
            return
        for consumer in consumers:
            if consumer["idle"] > _GONE_MS and not consumer["pending"]:
                await self._redis.xgroup_delconsumer(self._stream, _NAME, consumer["name"])

    async def unfinished(self) -> tuple[Entry | None, list[Entry]]:
        """Return the last delivered entry, and the oldest entries of those not delivered and not acknowledged."""
        groups: Any = await self._redis.xinfo_groups(self._stream) if await self._redis.exists(self._stream) else []
        group = next((one for one in groups if one["name"] == _NAME.encode()), None)
        if group is None:
            return None, []
        undelivered: Any = await self._redis.xrange(self._stream, min=b"(" + group["last-delivered-id"], count=1)
        pending: Any = await self._redis.xpending(self._stream, _NAME)
        oldest = [_entry(entry) for entry in undelivered]
        if pending["min"]:
            oldest.append(Entry(pending["min"].decode(), {}))
        return Entry(group["last-delivered-id"].decode(), {}), oldest

    async def _create_group(self, error: ResponseError) -> None:
        """Create the group if the error says that it is missing; raise any other error."""
        if "NOGROUP" not in str(error):
            raise error
        try:
            await self._redis.xgroup_create(self._stream, _NAME, id="0", mkstream=True)
        except ResponseError as refusal:
            if "BUSYGROUP" not in str(refusal):  # another process was faster
                raise


def _entry(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Entry:
    name, fields = entry
    return Entry(
        name.decode(), {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
    )


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
