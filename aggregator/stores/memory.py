"""`memory://`: the cache of a process that runs alone."""

from collections.abc import Sequence

from aggregator.live.topics import Bus
from aggregator.models import Price
from aggregator.newest import NewestPrices

MEMORY_URL = "memory://"


def check_memory_url(url: str) -> None:
    """Raise ValueError if there is more in the URL than its scheme."""
    if url != MEMORY_URL:
        raise ValueError(f"must be {MEMORY_URL}")


class MemoryCache:
    """`aggregator.ports.LocalCache` that is all in this process. What it takes it tells the hub, as Redis would."""

    def __init__(self, newest: NewestPrices, hub: Bus) -> None:
        self.newest = newest
        self._hub = hub

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is held and not expired."""
        return self.newest.peek(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return those of `symbols` that are held and not expired."""
        return {symbol: price for symbol in symbols if (price := self.newest.peek(symbol)) is not None}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL unless a newer one was seen."""
        news = self.newest.hold(prices)
        if news:
            self._hub.publish(news)

    async def ping(self) -> None:
        """Nothing to reach."""

    async def close(self) -> None:
        """Nothing to let go of."""
