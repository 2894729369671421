"""The current prices as a stream begins with them: read once for all who ask for the same at about the same time."""

import time
from collections.abc import Callable, Sequence

import msgspec

from aggregator.api.bodies import Bodies
from aggregator.fanout import Fanout
from aggregator.flight import SingleFlight
from aggregator.models import Asset, Tier
from aggregator.ports import Prices
from aggregator.reader import Version, Wanted
from aggregator.tiers import Catalog

_MOST_IN_PART = 1000
_HOLDS_SECONDS = 1.0  # as long as a price's body does
_MOST_HELD = 64


class Snapshot(msgspec.Struct, frozen=True):
    """Prices as JSON arrays of at most a thousand, each one's version, and the last event before they were read."""

    last_id: str
    parts: Sequence[bytes]
    versions: dict[str, Version]
    read_at: float


class Snapshots:
    """Puts snapshots together. A thousand readers who come back at the same moment cost little more than one."""

    def __init__(
        self,
        catalog: Catalog,
        prices: Prices,
        bodies: Bodies,
        fanout: Fanout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._prices = prices
        self._bodies = bodies
        self._fanout = fanout
        self._clock = clock
        self._held: dict[Wanted, Snapshot] = {}
        self._flights: SingleFlight[Wanted, Snapshot] = SingleFlight()

    async def of(self, wanted: Wanted) -> Snapshot:
        """Return the prices of `wanted` as they are now."""
        held = self._held.get(wanted)
        if held is not None and self._is_current(held):
            return held
        return await self._flights.do(wanted, lambda: self._read(wanted))

    async def close(self, patience: float) -> None:
        """Let those under way finish for at most `patience` seconds."""
        await self._flights.close(patience)

    def _is_current(self, snapshot: Snapshot) -> bool:
        age = self._clock() - snapshot.read_at
        return age < _HOLDS_SECONDS and self._fanout.since(snapshot.last_id) is not None

    async def _read(self, wanted: Wanted) -> Snapshot:
        last_id, read_at = self._fanout.last_id, self._clock()
        assets = self._assets(wanted)
        parts: list[bytes] = []
        versions: dict[str, Version] = {}
        for first in range(0, len(assets), _MOST_IN_PART):
            some = assets[first : first + _MOST_IN_PART]
            found = await self._prices.get_many(some)
            versions |= {symbol: (price.timestamp, price.updated_at) for symbol, price in found.items()}
            bodies = [self._bodies.of(asset, found[asset.symbol]).raw for asset in some if asset.symbol in found]
            if bodies:
                parts.append(b"[%b]" % b",".join(bodies))
        snapshot = Snapshot(last_id, parts or [b"[]"], versions, read_at)
        self._hold(wanted, snapshot)
        return snapshot

    def _hold(self, wanted: Wanted, snapshot: Snapshot) -> None:
        self._held.pop(wanted, None)
        self._held[wanted] = snapshot
        if len(self._held) > _MOST_HELD:
            del self._held[next(iter(self._held))]

    def _assets(self, wanted: Wanted) -> list[Asset]:
        found = [asset for tier in Tier if tier in wanted.tiers for asset in self._catalog.of(tier)]
        named = (asset for symbol in sorted(wanted.assets) if (asset := self._catalog.find(symbol)) is not None)
        return found + [asset for asset in named if asset.tier not in wanted.tiers]
