"""`memory://`: the cache of a process that runs alone."""

from collections.abc import Sequence

from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Price
from aggregator.newest import NewestPrices

MEMORY_URL = "memory://"


def check_memory_url(url: str) -> None:
    """Raise ValueError if there is more in the URL than its scheme."""
    if url != MEMORY_URL:
        raise ValueError(f"must be {MEMORY_URL}")


class MemoryCache:
    """`aggregator.ports.LocalCache` inside this process. It publishes new prices on the bus, as Redis does."""

    def __init__(self, newest: NewestPrices, bus: Bus) -> None:
        self.newest = newest
        self._bus = bus

    def peek(self, symbol: str) -> Price | None:
        """Return the price if there is one that has not expired."""
        return self.newest.peek(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the prices of `symbols` that have not expired."""
        return {symbol: price for symbol in symbols if (price := self.newest.peek(symbol)) is not None}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL, except where a newer one was seen, and publish it."""
        new = self.newest.hold(prices)
        if new:
            self._bus.publish(PRICES, new)

    async def ping(self) -> None:
        """There is nothing to reach."""

    async def close(self) -> None:
        """There is nothing to close."""
