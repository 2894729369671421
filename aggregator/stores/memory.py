"""`memory://`: the cache of a process that runs alone."""

import time
from collections.abc import Callable, Mapping, Sequence

from aggregator.models import Price, Tier


class MemoryCache:
    """`aggregator.ports.Cache` in a dict; as large as the list of assets, never larger."""

    def __init__(self, ttl: Mapping[Tier, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._held: dict[str, tuple[Price, float]] = {}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL unless a newer one is held."""
        now = self._clock()
        for price in prices:
            held = self._live(price.asset, now)
            if held is None or price.timestamp >= held.timestamp:
                self._held[price.asset] = (price, now + self._ttl[price.tier])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return those of `symbols` that are held and not expired."""
        now = self._clock()
        found = ((symbol, self._live(symbol, now)) for symbol in symbols)
        return {symbol: price for symbol, price in found if price is not None}

    async def ping(self) -> None:
        """Nothing to reach."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _live(self, symbol: str, now: float) -> Price | None:
        price, expires = self._held.get(symbol, (None, 0.0))
        return price if now < expires else None
