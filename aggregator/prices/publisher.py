"""Publishes new prices: to history first, then to the cache, which forwards them to every process."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

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
        self._under_way: dict[str, Price] = {}  # by asset: a price that is being written

    async def publish(self, prices: Sequence[Price], trigger: Trigger) -> Outcomes:
        """Write `prices` to history, then to the cache; return by symbol the outcome for the caller.

        There are three cases:
        - History does not take a price: it is not published, and its outcome is NoPrice. So every price that a client
          gets can be found again, even after the process is killed.
        - A price is not newer than the newest known one: it is not published, and its outcome is the known one.
        - All others are published, even if the cache fails: reads are then served from history.
        """
        prices = [following(self._before(price, trigger), price) for price in prices]
        news = [price for price in prices if self._newest.is_news(price)]
        with self._writing(news):
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

    def _before(self, price: Price, trigger: Trigger) -> Price | None:
        """Return the price that `price` must not share its time with, if there is one.

        A pushed ticker may be priced while a refresh of the same asset is being written, or the other way round. Of two
        prices with one time, a history may keep another one than readers have got.
        """
        under_way = self._under_way.get(price.asset)
        if trigger != "push":
            return under_way if under_way is not None and under_way.timestamp == price.timestamp else None
        known = self._newest.known(price.asset)
        if known is None or under_way is None:
            return known or under_way
        return max(known, under_way, key=lambda one: one.timestamp)

    @contextmanager
    def _writing(self, news: Sequence[Price]) -> Iterator[None]:
        """Keep `news` as under way during the block."""
        self._under_way.update((price.asset, price) for price in news)
        try:
            yield
        finally:
            for price in news:
                if self._under_way.get(price.asset) is price:
                    del self._under_way[price.asset]

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
