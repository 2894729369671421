"""Prices held in this process for their tier's TTL."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from aggregator.models import Price, Tier


class Held:
    """A dict that forgets: as large as the list of assets, never larger."""

    def __init__(self, ttl: Mapping[Tier, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._held: dict[str, tuple[Price, float]] = {}

    def get(self, symbol: str) -> Price | None:
        """Return the price unless it has expired."""
        held = self._held.get(symbol)
        return held[0] if held is not None and self._clock() < held[1] else None

    def drop(self, symbols: Iterable[str]) -> None:
        """Forget these."""
        for symbol in symbols:
            self._held.pop(symbol, None)

    def put(self, prices: Sequence[Price]) -> list[Price]:
        """Hold each price from now on unless a newer one is held; return those that were taken."""
        taken = []
        now = self._clock()
        for price in prices:
            held = self._held.get(price.asset)
            if held is None or now >= held[1] or price.timestamp >= held[0].timestamp:
                self._held[price.asset] = (price, now + self._ttl[price.tier])
                taken.append(price)
        return taken
