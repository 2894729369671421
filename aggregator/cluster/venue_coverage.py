"""Where assets are traded, for processes that ask no exchange: `<prefix>venues`, a hash of JSON and its digest.

Refreshers tell it; those who read it look at the digest first, as of many assets it is long. The last word counts.
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

_SECONDS = 2.0  # between two looks
_AGAIN = 60.0  # seconds after which the same is told again, as Redis may have forgotten it
_KEPT_SECONDS = 3 * 86_400


class _Told(msgspec.Struct, frozen=True):
    need: int
    venues: dict[str, int]


_decoder = msgspec.json.Decoder(_Told)


class CoverageReporter:
    """Tells what `coverage` knows whenever it has changed."""

    def __init__(self, client: RedisClient, coverage: VenueCoverage) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}venues"
        self._coverage = coverage
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Tell; never returns."""
        told, tell_at = 0, 0.0
        time = asyncio.get_running_loop().time
        while True:
            if told != self._coverage.counts or time() >= tell_at:
                try:
                    await self.report()
                    told, tell_at = self._coverage.counts, time() + _AGAIN
                except StoreUnavailable as error:
                    self._log.debug("coverage_not_told", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def report(self) -> None:
        """Tell it now. Raises StoreUnavailable."""
        said = encode(_Told(self._coverage.need, dict(self._coverage.venues)))
        with mapped():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(self._key, mapping={"said": said, "digest": blake2b(said, digest_size=16).hexdigest()})
                pipe.expire(self._key, _KEPT_SECONDS)
                await pipe.execute()


class CoverageListener:
    """Lets `coverage` know what a refresher tells."""

    def __init__(self, client: RedisClient, coverage: VenueCoverage) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}venues"
        self._coverage = coverage
        self._digest: bytes | None = None
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Listen; never returns."""
        while True:
            try:
                await self.hear()
            except StoreUnavailable as error:
                self._log.debug("coverage_not_heard", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def hear(self) -> None:
        """Look whether there is news, and take it; what cannot be read, nobody has told. Raises StoreUnavailable."""
        with mapped():
            reading: Any = self._redis.hget(self._key, "digest")
            digest = await reading
            if digest in (None, self._digest):
                return
            reading = self._redis.hget(self._key, "said")
            said = await reading
        self._digest = digest
        try:
            told = _decoder.decode(said or b"")
        except UNREADABLE:
            return
        self._coverage.replace(told.venues, told.need)
