"""The local cache of a process in front of the cache that the processes share."""

from collections.abc import Sequence

from aggregator.models import Price
from aggregator.newest import NewestPrices
from aggregator.ports import Cache


class TwoLevelCache:
    """`aggregator.ports.LocalCache`, filled by the bus. It is empty while the bus is disconnected.

    Only prices from the bus are kept. A price that was read or written here may be older than one that was published
    while the bus was disconnected.
    """

    def __init__(self, cache: Cache, newest: NewestPrices) -> None:
        self.newest = newest
        self._cache = cache
        self._is_connected = False

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is in the local cache and has not expired."""
        return self.newest.peek(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`, from the local cache, and for the missing symbols from the shared cache.

        A price that is older than the newest one seen is left out. A shared cache that was away comes back with old
        prices; the lookup reads the later ones from history.
        """
        local = {symbol: price for symbol in symbols if (price := self.newest.peek(symbol)) is not None}
        missing = [symbol for symbol in symbols if symbol not in local]
        if not missing:
            return local
        shared = await self._cache.latest(missing)
        return local | {
            symbol: newest
            for symbol, price in shared.items()
            if (newest := self.newest.at_least(price)).timestamp == price.timestamp
        }

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`, into the shared cache, which publishes the prices to all processes, this one included.

        The prices count as seen even where the shared cache does not take them: history has them.
        """
        for price in prices:
            self.newest.at_least(price)
        await self._cache.write(prices)

    async def ping(self) -> None:
        """As `Store.ping`, of the shared cache."""
        await self._cache.ping()

    async def close(self) -> None:
        """As `Store.close`, of the shared cache."""
        await self._cache.close()

    def receive(self, prices: Sequence[Price]) -> None:
        """Keep prices from the bus; while the bus is disconnected, only count them as seen."""
        if self._is_connected:
            self.newest.hold(prices)
        else:
            for price in prices:
                self.newest.at_least(price)

    def connected(self) -> None:
        """Start to keep prices."""
        self._is_connected = True

    def disconnected(self) -> None:
        """Drop all prices: this process does not get newer ones that are published from now on."""
        self._is_connected = False
        self.newest.release_all()
