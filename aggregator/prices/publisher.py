"""From new prices to readers: history first, then the cache, which tells all processes."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from aggregator.models import NoPrice, Outcomes, Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Trigger
from aggregator.prices.freshness import Freshness
from aggregator.resilience.group_commit import GroupCommit, Sinks


class Publisher:
    """Publishes prices that are newer than the newest one known, and only once history has them."""

    def __init__(
        self,
        newest: NewestPrices,
        sinks: Sinks,
        freshness: Freshness,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._newest = newest
        self._sinks = sinks
        self._freshness = freshness
        self._metrics = metrics
        self._now = now
        self._tracer = tracer

    async def publish(self, prices: Sequence[Price], trigger: Trigger) -> Outcomes:
        """Write to history, then to the cache; return what callers may be given, by symbol.

        There are three cases. A price that history does not take is not published: every price that a reader gets can
        be found again, even after a kill. A price that is no newer than the newest one known is not published either;
        that one is returned in its place. All others are published, also where the cache fails: readers are then served
        from history.
        """
        news = [price for price in prices if self._newest.is_news(price)]
        if news and not await self._write(self._sinks.history, news):
            return self._unpublished(prices, {price.asset for price in news})
        if news:
            await self._write(self._sinks.cache, news)
        now = self._now()
        for price in news:
            self._freshness.record(price, now)
        for tier, count in Counter(price.tier for price in prices).items():
            self._metrics.refreshes.labels(tier.value, trigger).inc(count)
        return {price.asset: self._newest.at_least(price) for price in prices}

    async def close(self, patience: float) -> None:
        """Give the writes under way at most `patience` seconds each."""
        for sink in self._sinks:
            await sink.close(patience)

    def _unpublished(self, prices: Sequence[Price], refused: AbstractSet[str]) -> Outcomes:
        """Return the outcomes where history has refused the prices of some assets."""
        outcomes: Outcomes = {}
        for price in prices:
            if price.asset in refused:
                self._metrics.refresh_errors.labels(price.tier.value).inc()
                outcomes[price.asset] = NoPrice(price.asset, price.left_out, self._sinks.history.failing)
            else:
                outcomes[price.asset] = self._newest.at_least(price)
        return outcomes

    async def _write(self, sink: GroupCommit, prices: Sequence[Price]) -> bool:
        with self._tracer.span(f"{sink.name} write", {"aggregator.prices": len(prices)}) as span:
            taken = await sink.write(prices)
            if not taken:
                span.fail(sink.failing)
            return taken
