"""A lease of one process among all on one Redis, such as on the exchanges' push feeds: one refresher is subscribed.

    free -> taken by one refresher -> renewed -> free 2.5 seconds after the last renewal

The holder also does the jobs of the hot tier, so that the exchanges are not asked for what they push. While Redis is
away, no process can take the lease, and the holder keeps its feeds; every refresher then does all jobs itself. A Redis
that has lost its data gives the lease to the first process that asks; the other one unsubscribes at its next renewal.
"""

import asyncio

import structlog

from aggregator.errors import StoreUnavailable
from aggregator.stores.redis.client import RedisClient, mapped

EXPIRE_SECONDS = 2.5
_RENEW_SECONDS = 0.8
_TRY_SECONDS = 0.5  # between two attempts to take the lease


class FeedLease:
    """The lease as one process sees it. `held` tells whether this process has it. `name` tells leases apart."""

    def __init__(self, client: RedisClient, name: str = "feeds") -> None:
        self.held = False
        self._name = name
        self._lock = client.redis.lock(f"{client.prefix}{name}", timeout=EXPIRE_SECONDS, blocking=False)
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Take the lease when it is free, and renew it; give it back when cancelled. Never returns."""
        try:
            while True:
                await self.renew()
                await asyncio.sleep(_RENEW_SECONDS if self.held else _TRY_SECONDS)
        finally:
            await self._give_back()

    async def renew(self) -> None:
        """Renew the lease if it is held, or else try to take it. Without Redis nothing changes."""
        try:
            with mapped():
                if self.held and await self._lock.owned():
                    await self._lock.reacquire()
                    return
                held = await self._lock.acquire()
        except StoreUnavailable as error:
            self._log.debug("feed_lease_unknown", lease=self._name, held=self.held, error=str(error))
            return
        if held != self.held:
            self.held = held
            self._log.info(f"{self._name}_taken" if held else f"{self._name}_lost")

    async def _give_back(self) -> None:
        if not self.held:
            return
        self.held = False
        try:
            with mapped():
                await self._lock.release()
        except StoreUnavailable as error:
            self._log.debug("feed_lease_not_given_back", lease=self._name, error=str(error))
