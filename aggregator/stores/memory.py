"""`memory://`: the cache of a process that runs alone."""

import time
from collections.abc import Callable, Mapping, Sequence

from aggregator.hub import Hub
from aggregator.models import Price, Tier
from aggregator.stores.held import Held


class MemoryCache:
    """`aggregator.ports.Cache` in this process' memory. What it takes it tells the hub, as Redis would."""

    def __init__(self, ttl: Mapping[Tier, float], hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._held = Held(ttl, clock)
        self._hub = hub

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is held and not expired."""
        return self._held.get(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return those of `symbols` that are held and not expired."""
        return {symbol: price for symbol in symbols if (price := self._held.get(symbol)) is not None}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL unless a newer one is held."""
        taken = self._held.put(prices)
        if taken:
            self._hub.publish(taken)

    async def ping(self) -> None:
        """Nothing to reach."""

    async def close(self) -> None:
        """Nothing to let go of."""
