"""The lag of the refreshers behind their schedule. Every process on the Redis measures it for itself."""

import asyncio

import structlog

from aggregator.cluster.consumer_group import Group, RedisClock
from aggregator.errors import StoreUnavailable
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog
from aggregator.stores.redis.client import RedisClient, mapped

_SECONDS = 2.0  # between two measurements


class JobLag:
    """For how many seconds the oldest unfinished job of each tier has been due; measured every two seconds."""

    def __init__(self, client: RedisClient, catalog: Catalog, metrics: Metrics) -> None:
        self._redis = client.redis
        self._stream = f"{client.prefix}jobs:"
        self._catalog = catalog
        self._metrics = metrics
        self._clock = RedisClock(client)
        self._groups = {tier: Group(client, self._stream + tier, "") for tier in Tier if catalog.of(tier)}
        self._log = structlog.get_logger().bind(store="redis")
        self.by_tier: dict[Tier, float] = {}

    async def run(self) -> None:
        """Measure; never returns."""
        while True:
            try:
                await self._clock.sync()
                for tier, group in self._groups.items():
                    with mapped():
                        self.by_tier[tier] = await self._measure(tier, group)
                    self._metrics.jobs_lag.labels(tier.value).set(self.by_tier[tier])
            except StoreUnavailable as error:
                self.by_tier = {}
                self._log.debug("jobs_not_measured", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def _measure(self, tier: Tier, group: Group) -> float:
        last, unfinished = await group.unfinished()
        if last is not None and last.time > self._clock.now() + self._catalog.cadence[tier].interval:
            # Redis' clock was set back. The stream refuses smaller ids, so no job could be added for so long.
            self._log.warning("jobs_from_the_future", tier=tier.value, seconds=round(last.time - self._clock.now()))
            await self._redis.delete(self._stream + tier)
            return 0.0
        return max((self._clock.now() - entry.time for entry in unfinished), default=0.0)
