"""One consumer of one consumer group on one stream. Raises redis-py's errors; who calls it maps them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from aggregator.stores.redis.client import RedisClient

_NAME = "refreshers"
_GONE_MS = 3_600_000


class Entry(msgspec.Struct, frozen=True):
    """An entry of a stream: `id` is milliseconds and a sequence number, `milliseconds-sequence`."""

    id: str
    fields: Mapping[str, str]

    @property
    def time(self) -> float:
        """Its time in unix seconds, by whoever gave the id."""
        return int(self.id.partition("-")[0]) / 1000


class Group:
    """Reads for `consumer`. The group is made where it is missing: Redis may be new, or have been emptied."""

    def __init__(self, client: RedisClient, stream: str, consumer: str) -> None:
        self._redis = client.redis
        self._stream = stream
        self._consumer = consumer
        self._patient = client.patient
        self._block_ms = client.block_ms

    async def read(self, *, acknowledged: bool = False) -> Entry | None:
        """Return the next new entry, waiting a moment for it; `acknowledged` at once, it can never be claimed."""
        try:
            found: Any = await self._patient.xreadgroup(
                _NAME, self._consumer, {self._stream: ">"}, count=1, block=self._block_ms, noack=acknowledged
            )
        except ResponseError as error:
            await self._make(error)
            return None
        return next((_entry(entry) for _, entries in found or () for entry in entries), None)

    async def claim(self, idle_ms: int) -> Entry | None:
        """Return an entry that some consumer has had for `idle_ms` without acknowledging it."""
        try:
            found: Any = await self._redis.xautoclaim(self._stream, _NAME, self._consumer, idle_ms, count=1)
        except ResponseError as error:
            await self._make(error)
            return None
        return next((_entry(entry) for entry in found[1] if entry[1] is not None), None)  # None: trimmed meanwhile

    async def acknowledge(self, entry_id: str) -> None:
        """Let nobody claim the entry."""
        await self._redis.xack(self._stream, _NAME, entry_id)

    async def forget_the_gone(self) -> None:
        """Delete consumers that have not read for long and have nothing unfinished: every start makes a new one."""
        if not await self._redis.exists(self._stream):
            return
        try:
            consumers: Any = await self._redis.xinfo_consumers(self._stream, _NAME)
        except ResponseError as error:
            await self._make(error)
            return
        for consumer in consumers:
            if consumer["idle"] > _GONE_MS and not consumer["pending"]:
                await self._redis.xgroup_delconsumer(self._stream, _NAME, consumer["name"])

    async def unfinished(self) -> tuple[Entry | None, list[Entry]]:
        """Return the last entry delivered to anyone, and those that come first of the waiting and of the unfinished."""
        groups: Any = await self._redis.xinfo_groups(self._stream) if await self._redis.exists(self._stream) else []
        group = next((one for one in groups if one["name"] == _NAME.encode()), None)
        if group is None:
            return None, []
        waiting: Any = await self._redis.xrange(self._stream, min=b"(" + group["last-delivered-id"], count=1)
        pending: Any = await self._redis.xpending(self._stream, _NAME)
        first = [_entry(entry) for entry in waiting]
        if pending["min"]:
            first.append(Entry(pending["min"].decode(), {}))
        return Entry(group["last-delivered-id"].decode(), {}), first

    async def _make(self, error: ResponseError) -> None:
        """Make the group if that is what the error says is missing; else raise it."""
        if "NOGROUP" not in str(error):
            raise error
        try:
            await self._redis.xgroup_create(self._stream, _NAME, id="0", mkstream=True)
        except ResponseError as refusal:
            if "BUSYGROUP" not in str(refusal):  # somebody else was first
                raise


def _entry(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Entry:
    name, fields = entry
    return Entry(
        name.decode(), {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
    )
