"""The current prices as a stream begins with them: read once for all who ask for the same at about the same time.

A snapshot is brought up to date at the moment it is handed out, so it is never older than what this process has sent or
answered before.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from aggregator.api.price_bodies import PriceBodies
from aggregator.live.fanout import Fanout
from aggregator.live.subscriber import Subscription
from aggregator.models import Asset, Price, Tier
from aggregator.newest import NewestPrices
from aggregator.ports import Prices
from aggregator.prices.tiers import Catalog
from aggregator.resilience.single_flight import SingleFlight

_MOST_IN_PART = 1000
_HOLDS_SECONDS = 1.0  # as long as a price's body does
_MOST_HELD = 64


class Snapshot(msgspec.Struct, frozen=True):
    """Prices as JSON arrays of at most a thousand, each one's timestamp, and the last event they include."""

    last_id: str
    parts: Sequence[bytes]
    timestamps: dict[str, float]


class _Collection:
    """The bodies of one subscription's prices; `changed` counts the changes of `NewestPrices` that they include."""

    def __init__(self, assets: Sequence[Asset], changed: int, read_at: float) -> None:
        self.changed = changed
        self.read_at = read_at
        self.timestamps: dict[str, float] = {}
        self._assets = {asset.symbol: (place // _MOST_IN_PART, asset) for place, asset in enumerate(assets)}
        self._bodies: list[dict[str, bytes]] = [{} for _ in range(0, len(assets), _MOST_IN_PART)]
        self._joined: dict[int, bytes] = {}  # by part; missing where a body has changed

    @property
    def symbols(self) -> list[str]:
        """The subscription's assets."""
        return list(self._assets)

    def asset(self, symbol: str) -> Asset | None:
        """Return the asset if the subscription has it."""
        found = self._assets.get(symbol)
        return found[1] if found is not None else None

    def put(self, price: Price, body: bytes) -> None:
        """Show this price of its asset."""
        part, _ = self._assets[price.asset]
        self._bodies[part][price.asset] = body
        self.timestamps[price.asset] = price.timestamp
        self._joined.pop(part, None)

    def parts(self) -> list[bytes]:
        """Return the JSON arrays, at least one."""
        for part, bodies in enumerate(self._bodies):
            if part not in self._joined:
                self._joined[part] = b"[%b]" % b",".join(bodies.values())
        return [raw for part, raw in sorted(self._joined.items()) if self._bodies[part]] or [b"[]"]


class Snapshots:
    """Puts snapshots together. A thousand readers who come back at the same moment cost little more than one."""

    def __init__(
        self,
        catalog: Catalog,
        prices: Prices,
        newest: NewestPrices,
        bodies: PriceBodies,
        fanout: Fanout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._prices = prices
        self._newest = newest
        self._bodies = bodies
        self._fanout = fanout
        self._clock = clock
        self._held: dict[Subscription, _Collection] = {}
        self._flights: SingleFlight[Subscription, _Collection] = SingleFlight()

    async def of(self, wanted: Subscription) -> Snapshot:
        """Return the prices of `wanted` as they are now. It is up to date until the caller awaits something."""
        held = self._held.get(wanted)
        if held is None or self._clock() - held.read_at >= _HOLDS_SECONDS:
            held = await self._flights.do(wanted, lambda: self._read(wanted))
        self._bring_up_to_date(held)
        return Snapshot(self._fanout.last_id, held.parts(), dict(held.timestamps))

    async def close(self, patience: float) -> None:
        """Let those under way finish for at most `patience` seconds."""
        await self._flights.close(patience)

    async def _read(self, wanted: Subscription) -> _Collection:
        assets = self._assets(wanted)
        collection = _Collection(assets, self._newest.changed, self._clock())
        for first in range(0, len(assets), _MOST_IN_PART):
            some = assets[first : first + _MOST_IN_PART]
            found = await self._prices.get_many(some)
            for asset in some:
                if asset.symbol in found:
                    self._put(collection, asset, found[asset.symbol])
        self._hold(wanted, collection)
        return collection

    def _bring_up_to_date(self, collection: _Collection) -> None:
        """Show the newest price of each asset that has got a newer one since."""
        changed = self._newest.changed_since(collection.changed)
        collection.changed = self._newest.changed
        for symbol in collection.symbols if changed is None else changed:
            asset, price = collection.asset(symbol), self._newest.known(symbol)
            if asset is not None and price is not None and price.timestamp != collection.timestamps.get(symbol):
                self._put(collection, asset, price)

    def _put(self, collection: _Collection, asset: Asset, price: Price) -> None:
        collection.put(price, self._bodies.of(asset, price).raw)

    def _hold(self, wanted: Subscription, collection: _Collection) -> None:
        self._held.pop(wanted, None)
        self._held[wanted] = collection
        if len(self._held) > _MOST_HELD:
            del self._held[next(iter(self._held))]

    def _assets(self, wanted: Subscription) -> list[Asset]:
        found = [asset for tier in Tier if tier in wanted.tiers for asset in self._catalog.of(tier)]
        named = (asset for symbol in sorted(wanted.assets) if (asset := self._catalog.find(symbol)) is not None)
        return found + [asset for asset in named if asset.tier not in wanted.tiers]
