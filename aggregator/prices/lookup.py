"""The read path: cache -> history -> refresh now. A store that is away is passed over; callers share one search.

Every answer is compared with the newest price that this process has seen, at the moment it is given: a search that
began before a newer price came must not answer the older one.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, Asset, NoPrice, Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import LocalCache, Refresh, Store
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts
from aggregator.prices.tiers import Catalog
from aggregator.resilience.single_flight import SingleFlight

HISTORY_SECONDS = 1.5  # for history, however it hangs; shorter than a process told to stop waits for its requests
RETRY_AFTER = 1.0  # seconds for which an asset that no exchange had a price for is not asked for again

_Found = tuple[Price | NoPrice, str]  # and where, one of metrics.FOUND_IN


class Lookup:
    """`aggregator.ports.Prices`. A price older than its tier's `gone_after` is not served, wherever it is found."""

    def __init__(
        self,
        catalog: Catalog,
        cache: LocalCache,
        history: Store,
        refresher: Refresh,
        metrics: Metrics,
        accesses: AccessCounts,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        history_seconds: float = HISTORY_SECONDS,
        *,
        clock_repeats: Callable[[], bool] = lambda: False,
    ) -> None:
        self._catalog = catalog
        self._cache = cache
        self._history = history
        self._refresher = refresher
        self._metrics = metrics
        self._accesses = accesses
        self._ages = FreshnessMetrics(catalog, metrics)
        self._history_seconds = history_seconds
        self._now = now
        self._clock = clock
        self._clock_repeats = clock_repeats
        self._flights: SingleFlight[str, _Found] = SingleFlight()
        self._not_before: dict[str, tuple[float, NoPrice]] = {}

    async def get(self, asset: Asset) -> Price | NoPrice:
        """Return the price to serve now, asking the exchanges only when none is known."""
        self._accesses.record(asset)
        price = (await self._cached([asset])).get(asset.symbol)
        if price is None:
            outcome, place = await self._flights.do(asset.symbol, lambda: self._find(asset))
            self._metrics.reads.labels(place).inc()
            if isinstance(outcome, NoPrice):
                return outcome
            price = outcome
        newest = self._servable([asset], {asset.symbol: self.at_least(price)})  # it may have grown too old meanwhile
        self._served([asset], newest)
        return newest.get(asset.symbol) or NoPrice(asset.symbol)

    async def get_many(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the known prices by symbol, without asking any exchange."""
        for asset in assets:
            self._accesses.record(asset)
        found = await self._cached(assets)
        missing = [asset for asset in assets if asset.symbol not in found]
        if missing:
            stored = await self._stored(missing)
            seen = self._seen([asset for asset in missing if asset.symbol not in stored])
            self._metrics.reads.labels("history").inc(len(stored))
            self._metrics.reads.labels("near").inc(len(seen))
            self._metrics.reads.labels("nowhere").inc(len(missing) - len(stored) - len(seen))
            found |= stored | seen
        found = self._servable(assets, {symbol: self.at_least(price) for symbol, price in found.items()})
        self._served(assets, found)
        return found

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest one that this process has seen."""
        return self._cache.newest.at_least(price)

    async def close(self, patience: float) -> None:
        """Let searches under way finish for at most `patience` seconds."""
        await self._flights.close(patience)

    async def _cached(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return what near memory has, and of the rest what the cache has that processes share."""
        here = {asset.symbol: price for asset in assets if (price := self._cache.peek(asset.symbol)) is not None}
        near = self._servable(assets, here)
        rest = [asset for asset in assets if asset.symbol not in near]
        shared = await self._ask("cache", self._cache, rest, None) if rest else {}  # which keeps its own time
        self._metrics.reads.labels("near").inc(len(near))
        self._metrics.reads.labels("cache").inc(len(shared))
        self._metrics.cache_hits.inc(len(near) + len(shared))
        self._metrics.cache_misses.inc(len(rest) - len(shared))
        return near | shared

    async def _stored(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return what history has, and put it into the cache, so that the next reader need not ask history again."""
        if self._clock_repeats():
            return {}
        stored = await self._ask("history", self._history, assets, self._history_seconds)
        found = {symbol: self.at_least(price) for symbol, price in stored.items()}
        if found:
            try:
                await self._cache.write(list(found.values()))
            except StoreError as error:
                self._metrics.store_errors.labels("cache", error.reason).inc()
        return found

    async def _ask(self, name: str, store: Store, assets: Sequence[Asset], seconds: float | None) -> dict[str, Price]:
        """Return what the store has and may still be served; one that is away, or hangs, has nothing and is counted."""
        try:
            async with asyncio.timeout(seconds):
                found = await store.latest([asset.symbol for asset in assets])
        except (StoreError, TimeoutError) as error:
            reason = error.reason if isinstance(error, StoreError) else StoreUnavailable.reason
            self._metrics.store_errors.labels(name, reason).inc()
            return {}
        return self._servable(assets, found)

    def _seen(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the newest prices that this process has seen, for assets that no store has a price of now."""
        known = {
            asset.symbol: price for asset in assets if (price := self._cache.newest.known(asset.symbol)) is not None
        }
        return self._servable(assets, known)

    def _servable(self, assets: Sequence[Asset], found: Mapping[str, Price]) -> dict[str, Price]:
        now = self._now()
        return {
            asset.symbol: price
            for asset in assets
            if (price := found.get(asset.symbol)) is not None
            and -FUTURE_TOLERANCE <= now - price.timestamp <= self._catalog.cadence[asset.tier].gone_after
        }

    def _served(self, assets: Sequence[Asset], found: Mapping[str, Price]) -> None:
        """Count how old they are that are found."""
        now = self._now()
        for asset in assets:
            if (price := found.get(asset.symbol)) is not None:
                self._ages.add(asset.tier, now - price.timestamp)
        self._ages.flush()

    async def _find(self, asset: Asset) -> _Found:
        """Look beyond the cache; the exchanges are asked at most once a second for what they do not have."""
        price = (await self._stored([asset])).get(asset.symbol)
        if price is not None:
            return price, "history"
        until, refusal = self._not_before.get(asset.symbol, (0.0, None))
        if refusal is not None and self._clock() < until:
            return self._seen_or(asset, refusal)
        outcome = await self._refresher.refresh(asset, "force")
        if isinstance(outcome, NoPrice):
            self._not_before[asset.symbol] = (self._clock() + RETRY_AFTER, outcome)
            return self._seen_or(asset, outcome)
        self._not_before.pop(asset.symbol, None)
        return outcome, "exchanges"

    def _seen_or(self, asset: Asset, refusal: NoPrice) -> _Found:
        """Return the newest price that this process has seen, where it may still be served, else the refusal."""
        seen = self._seen([asset]).get(asset.symbol)
        return (refusal, "nowhere") if seen is None else (seen, "near")
