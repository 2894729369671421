"""The read path: local cache -> shared cache -> history -> a refresh now. Stores that fail are skipped.

Concurrent callers share one lookup beyond the cache. Every price is compared with the newest one that this process has
seen just before it is returned: a lookup that began before a newer price arrived must not return the older one.
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

HISTORY_SECONDS = 1.5  # timeout of a read of history; shorter than a stopping process waits for its requests
RETRY_AFTER = 1.0  # seconds before the exchanges are asked again for an asset that none of them had a price of

_Found = tuple[Price | NoPrice, str]  # with the place where it was found, one of metrics.FOUND_IN


class Lookup:
    """`aggregator.ports.Prices`. A price older than its tier's `gone_after` is never served.

    While `clock_repeats`, history is not read: after the clock was set back by an hour, prices of an hour ago look
    young for an hour. The exchanges are asked instead.
    """

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
        """Return the price to serve now; the exchanges are asked only if no price is known."""
        self._accesses.record(asset)
        price = (await self._cached([asset])).get(asset.symbol)
        if price is None:
            outcome, place = await self._flights.do(asset.symbol, lambda: self._find_beyond_cache(asset))
            self._metrics.reads.labels(place).inc()
            if isinstance(outcome, NoPrice):
                return outcome
            price = outcome
        newest = self._servable([asset], {asset.symbol: self.at_least(price)})  # it may have become too old meanwhile
        self._record_ages([asset], newest)
        return newest.get(asset.symbol) or NoPrice(asset.symbol)

    async def get_many(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the known prices by symbol, without asking any exchange."""
        for asset in assets:
            self._accesses.record(asset)
        found = await self._cached(assets)
        missing = [asset for asset in assets if asset.symbol not in found]
        if missing:
            stored = await self._from_history(missing)
            seen = self._seen([asset for asset in missing if asset.symbol not in stored])
            self._metrics.reads.labels("history").inc(len(stored))
            self._metrics.reads.labels("near").inc(len(seen))
            self._metrics.reads.labels("nowhere").inc(len(missing) - len(stored) - len(seen))
            found |= stored | seen
        found = self._servable(assets, {symbol: self.at_least(price) for symbol, price in found.items()})
        self._record_ages(assets, found)
        return found

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest price of the asset that this process has seen."""
        return self._cache.newest.at_least(price)

    async def close(self, patience: float) -> None:
        """Wait for lookups in progress, at most `patience` seconds."""
        await self._flights.close(patience)

    async def _cached(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the prices that the local cache has, and those of the rest that the shared cache has."""
        held = {asset.symbol: price for asset in assets if (price := self._cache.peek(asset.symbol)) is not None}
        local = self._servable(assets, held)
        rest = [asset for asset in assets if asset.symbol not in local]
        shared = await self._ask("cache", self._cache, rest, None) if rest else {}  # the cache has its own timeout
        self._metrics.reads.labels("near").inc(len(local))
        self._metrics.reads.labels("cache").inc(len(shared))
        self._metrics.cache_hits.inc(len(local) + len(shared))
        self._metrics.cache_misses.inc(len(rest) - len(shared))
        return local | shared

    async def _from_history(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the prices that history has; copy them to the cache, so that the next read does not reach history."""
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
        """Return the store's prices that may be served; none if it fails or times out, which is counted as an error."""
        try:
            async with asyncio.timeout(seconds):
                found = await store.latest([asset.symbol for asset in assets])
        except (StoreError, TimeoutError) as error:
            reason = error.reason if isinstance(error, StoreError) else StoreUnavailable.reason
            self._metrics.store_errors.labels(name, reason).inc()
            return {}
        return self._servable(assets, found)

    def _seen(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the newest prices that this process has seen, if they may be served; for assets that no store has."""
        known = {
            asset.symbol: price for asset in assets if (price := self._cache.newest.known(asset.symbol)) is not None
        }
        return self._servable(assets, known)

    def _servable(self, assets: Sequence[Asset], found: Mapping[str, Price]) -> dict[str, Price]:
        """Return the prices of `found` that are neither too old for their tier nor ahead of our clock."""
        now = self._now()
        return {
            asset.symbol: price
            for asset in assets
            if (price := found.get(asset.symbol)) is not None
            and -FUTURE_TOLERANCE <= now - price.timestamp <= self._catalog.cadence[asset.tier].gone_after
        }

    def _record_ages(self, assets: Sequence[Asset], found: Mapping[str, Price]) -> None:
        """Record the ages of the prices that are served."""
        now = self._now()
        for asset in assets:
            if (price := found.get(asset.symbol)) is not None:
                self._ages.add(asset.tier, now - price.timestamp)
        self._ages.flush()

    async def _find_beyond_cache(self, asset: Asset) -> _Found:
        """Look for a price in history, then refresh it, but not within RETRY_AFTER of a refresh that gave none."""
        price = (await self._from_history([asset])).get(asset.symbol)
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
        """Return the newest price that this process has seen if it may be served, else the refusal."""
        seen = self._seen([asset]).get(asset.symbol)
        return (refusal, "nowhere") if seen is None else (seen, "near")
