"""The local cache: the prices that this process holds, in front of the cache that processes share."""

from collections.abc import Sequence

from aggregator.models import Price
from aggregator.newest import NewestPrices
from aggregator.ports import Cache


class TwoLevelCache:
    """`aggregator.ports.LocalCache`. The hub fills it and keeps it current; while the hub is cut off, nothing is held.

    A price is held only when the hub tells it. A price that was read or written here may already be outdated by one
    that was published while the hub was cut off.
    """

    def __init__(self, cache: Cache, newest: NewestPrices) -> None:
        self.newest = newest
        self._cache = cache
        self._current = False

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is held here, fresh by its tier's TTL."""
        return self.newest.peek(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`: held prices, and the rest from the cache behind.

        A price that is older than the newest one seen is left out: a cache that was away returns with old prices, and
        history, which is asked next, has the later ones.
        """
        here = {symbol: price for symbol in symbols if (price := self.newest.peek(symbol)) is not None}
        rest = [symbol for symbol in symbols if symbol not in here]
        if not rest:
            return here
        there = await self._cache.latest(rest)
        return here | {
            symbol: newest
            for symbol, price in there.items()
            if (newest := self.newest.at_least(price)).timestamp == price.timestamp
        }

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`, into the cache behind, whose feed tells all processes, this one included.

        The prices count as seen from now on, even where the cache does not take them: history has them.
        """
        for price in prices:
            self.newest.at_least(price)
        await self._cache.write(prices)

    async def ping(self) -> None:
        """As `Store.ping`, of the cache behind."""
        await self._cache.ping()

    async def close(self) -> None:
        """As `Store.close`, of the cache behind."""
        await self._cache.close()

    def receive(self, prices: Sequence[Price]) -> None:
        """Hold what the hub tells; while the hub is cut off, know it only."""
        if self._current:
            self.newest.hold(prices)
        else:
            for price in prices:
                self.newest.at_least(price)

    def connected(self) -> None:
        """Begin to hold prices."""
        self._current = True

    def disconnected(self) -> None:
        """Hold nothing: newer prices may be published that this process does not hear of."""
        self._current = False
        self.newest.release_all()
