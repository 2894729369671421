"""On how many venues each asset is traded, for processes without exchanges: `<prefix>venues`, a hash.

Refreshers write JSON and its digest, and the last write counts. A reader compares the digest first, because the JSON
may be long.
"""

import asyncio
from hashlib import blake2b
from typing import Any

import msgspec
import structlog

from aggregator.errors import StoreUnavailable
from aggregator.models import encode
from aggregator.prices.freshness import VenueCoverage
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_SECONDS = 2.0  # between two comparisons
_REWRITE_SECONDS = 60.0  # then the same is written again, because Redis may have lost it
_EXPIRE_SECONDS = 3 * 86_400


class _Coverage(msgspec.Struct, frozen=True):
    need: int
    venues: dict[str, int]


_decoder = msgspec.json.Decoder(_Coverage)


class CoverageReporter:
    """Writes `coverage` whenever it has changed."""

    def __init__(self, client: RedisClient, coverage: VenueCoverage) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}venues"
        self._coverage = coverage
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Write; never returns."""
        written, write_at = 0, 0.0
        time = asyncio.get_running_loop().time
        while True:
            if written != self._coverage.counts or time() >= write_at:
                try:
                    await self.report()
                    written, write_at = self._coverage.counts, time() + _REWRITE_SECONDS
                except StoreUnavailable as error:
                    self._log.debug("coverage_not_told", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def report(self) -> None:
        """Write it now. Raises StoreUnavailable."""
        body = encode(_Coverage(self._coverage.need, dict(self._coverage.venues)))
        with mapped():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(self._key, mapping={"said": body, "digest": blake2b(body, digest_size=16).hexdigest()})
                pipe.expire(self._key, _EXPIRE_SECONDS)
                await pipe.execute()


class CoverageListener:
    """Replaces `coverage` with what refreshers write."""

    def __init__(self, client: RedisClient, coverage: VenueCoverage) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}venues"
        self._coverage = coverage
        self._digest: bytes | None = None
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Read it every two seconds; never returns."""
        while True:
            try:
                await self.read()
            except StoreUnavailable as error:
                self._log.debug("coverage_not_heard", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def read(self) -> None:
        """Replace the coverage if it has changed and can be read. Raises StoreUnavailable."""
        with mapped():
            reading: Any = self._redis.hget(self._key, "digest")
            digest = await reading
            if digest in (None, self._digest):
                return
            reading = self._redis.hget(self._key, "said")
            body = await reading
        self._digest = digest
        try:
            coverage = _decoder.decode(body or b"")
        except UNREADABLE:
            return
        self._coverage.replace(coverage.venues, coverage.need)
