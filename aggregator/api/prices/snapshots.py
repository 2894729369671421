"""Snapshots of prices at the beginning of a stream, read once for all subscribers of the same prices.

A snapshot is updated at the moment it is returned, so it is never older than a price that this process has sent before.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from aggregator.api.prices.bodies import PriceBodies
from aggregator.live.subscriber import Subscription
from aggregator.models import Asset, Price, Tier
from aggregator.newest import NewestPrices
from aggregator.ports import Prices
from aggregator.prices.tiers import Catalog
from aggregator.resilience.single_flight import SingleFlight

_MOST_IN_PART = 1000
_VALID_SECONDS = 1.0  # as long as the body of a price
_MOST_CACHED = 64  # snapshots


class _Collection:
    """The bodies of a subscription's prices.

    They include the first `changed` changes of `NewestPrices`; None: they were not compared with it yet.
    """

    def __init__(self, assets: Sequence[Asset], read_at: float) -> None:
        self.changed: int | None = None
        self.read_at = read_at
        self.timestamps: dict[str, float] = {}
        self._assets = {asset.symbol: (place // _MOST_IN_PART, asset) for place, asset in enumerate(assets)}
        self._bodies: list[dict[str, bytes]] = [{} for _ in range(0, len(assets), _MOST_IN_PART)]
        self._joined: dict[int, bytes] = {}  # by part; absent if one of its bodies has changed

    @property
    def symbols(self) -> list[str]:
        """The symbols of the subscription."""
        return list(self._assets)

    def asset(self, symbol: str) -> Asset | None:
        """Return the asset, or None if the subscription does not have it."""
        found = self._assets.get(symbol)
        return found[1] if found is not None else None

    def put(self, price: Price, body: bytes) -> None:
        """Replace the price of its asset."""
        part, _ = self._assets[price.asset]
        self._bodies[part][price.asset] = body
        self.timestamps[price.asset] = price.timestamp
        self._joined.pop(part, None)

    def parts(self) -> list[bytes]:
        """Return the JSON arrays; one, if there is no price."""
        for part, bodies in enumerate(self._bodies):
            if part not in self._joined:
                self._joined[part] = b"[%b]" % b",".join(bodies.values())
        return [raw for part, raw in sorted(self._joined.items()) if self._bodies[part]] or [b"[]"]


class PriceSnapshots:
    """The snapshot source of prices, with a cache: a thousand clients that connect at once cost little more than one.

    The cache has one snapshot for each of the last subscriptions.
    """

    def __init__(
        self,
        catalog: Catalog,
        prices: Prices,
        newest: NewestPrices,
        bodies: PriceBodies,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._prices = prices
        self._newest = newest
        self._bodies = bodies
        self._clock = clock
        self._cached: dict[Subscription, _Collection] = {}
        self._flights: SingleFlight[Subscription, _Collection] = SingleFlight()

    async def read(self, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
        """As `SnapshotSource.read`."""
        cached = self._cached.get(subscription)
        if cached is None or self._clock() - cached.read_at >= _VALID_SECONDS:
            cached = await self._flights.do(subscription, lambda: self._read(subscription))
        return partial(self._current, cached)

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for reads that are in flight."""
        await self._flights.close(patience)

    async def _read(self, subscription: Subscription) -> _Collection:
        assets = self._assets(subscription)
        collection = _Collection(assets, self._clock())
        for first in range(0, len(assets), _MOST_IN_PART):
            some = assets[first : first + _MOST_IN_PART]
            found = await self._prices.get_many(some)
            for asset in some:
                if asset.symbol in found:
                    self._put(collection, asset, found[asset.symbol])
        self._keep(subscription, collection)
        return collection

    def _current(self, collection: _Collection) -> Sequence[bytes]:
        self._update(collection)
        return collection.parts()

    def _update(self, collection: _Collection) -> None:
        """Replace each price for which there is a newer one; the stores may have lost what this process has sent.

        One that is too old to be served is left out: it may be the last one before the exchanges went away.
        """
        changed = None if collection.changed is None else self._newest.changed_since(collection.changed)
        collection.changed = self._newest.changed
        for symbol in collection.symbols if changed is None else changed:
            asset, price = collection.asset(symbol), self._newest.known(symbol)
            if asset is None or price is None or price.timestamp == collection.timestamps.get(symbol):
                continue
            if not self._bodies.is_gone(asset, price):
                self._put(collection, asset, price)

    def _put(self, collection: _Collection, asset: Asset, price: Price) -> None:
        collection.put(price, self._bodies.of(asset, price).raw)

    def _keep(self, subscription: Subscription, collection: _Collection) -> None:
        self._cached.pop(subscription, None)
        self._cached[subscription] = collection
        if len(self._cached) > _MOST_CACHED:
            del self._cached[next(iter(self._cached))]

    def _assets(self, subscription: Subscription) -> list[Asset]:
        found = [asset for tier in Tier if tier in subscription.tiers for asset in self._catalog.of(tier)]
        named = (asset for symbol in sorted(subscription.assets) if (asset := self._catalog.find(symbol)) is not None)
        return found + [asset for asset in named if asset.tier not in subscription.tiers]
