"""Publishes new prices: to history first, then to the cache, which forwards them to every process."""

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from aggregator.models import NoPrice, Outcomes, Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Trigger
from aggregator.prices.freshness import Freshness
from aggregator.prices.pricing import following
from aggregator.resilience.group_commit import GroupCommit, Sinks


class Publisher:
    """Publishes prices that are newer than the newest known one, and only after history has stored them.

    `now` is unix seconds, by the clock of the process.
    """

    def __init__(
        self,
        newest: NewestPrices,
        sinks: Sinks,
        freshness: Freshness,
        metrics: Metrics,
        now: Callable[[], float],
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._newest = newest
        self._sinks = sinks
        self._freshness = freshness
        self._metrics = metrics
        self._now = now
        self._tracer = tracer

    async def publish(self, prices: Sequence[Price], trigger: Trigger) -> Outcomes:
        """Write `prices` to history, then to the cache; return by symbol the outcome for the caller.

        There are three cases:
        - History does not take a price: it is not published, and its outcome is NoPrice. So every price that a client
          gets can be found again, even after the process is killed.
        - A price is not newer than the newest known one: it is not published, and its outcome is the known one.
        - All others are published, even if the cache fails: reads are then served from history.
        """
        if trigger == "push":
            prices = [following(self._newest.known(price.asset), price) for price in prices]
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
        """Wait for the writes in progress, at most `patience` seconds for each store."""
        for sink in self._sinks:
            await sink.close(patience)

    def _unpublished(self, prices: Sequence[Price], refused: AbstractSet[str]) -> Outcomes:
        """Return the outcomes after history has refused the prices of the assets in `refused`."""
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
            written = await sink.write(prices)
            if not written:
                span.fail(sink.failing)
            return written
