"""Near memory: the prices that are in this process already, in front of the cache that processes share."""

from collections.abc import Mapping, Sequence

from aggregator.errors import StoreError
from aggregator.models import Price, Tier
from aggregator.ports import Cache
from aggregator.stores.held import Held


class NearCache:
    """`aggregator.ports.Near`. The hub fills it and keeps it current; while the hub is cut off, it is passed by.

    Nothing it holds can be older than what the others have: what it might have missed, it has forgotten. Nor does it
    pass on what is older than this process knows of: a cache that was away a while comes back with what it had then,
    and history, which is asked next, has what came since.
    """

    def __init__(self, cache: Cache, ttl: Mapping[Tier, float]) -> None:
        self._cache = cache
        self._ttl = ttl
        self._held = Held(ttl)
        self._current = False
        self._newest: dict[str, float] = {}  # exchange time of the newest price this process has seen of each asset

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is here, fresh by its tier's TTL."""
        return self._held.get(symbol)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`: what is here, and the rest from the cache behind."""
        here = {symbol: price for symbol in symbols if (price := self._held.get(symbol)) is not None}
        rest = [symbol for symbol in symbols if symbol not in here]
        if not rest:
            return here
        there = await self._cache.latest(rest)
        return here | {symbol: price for symbol, price in there.items() if not self._is_outdated(price)}

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`: into the cache behind, whose hub tells everyone, this process too, which holds it at once.

        Who has just refreshed must not be given the price before. What the cache does not take, nobody is told, though
        history has it; what is held of these assets is out of date then.
        """
        try:
            await self._cache.write(prices)
            self.take(prices)
        except StoreError:
            self._held.drop(price.asset for price in prices)
            raise
        finally:
            self._see(prices)

    async def ping(self) -> None:
        """As `Store.ping`, of the cache behind."""
        await self._cache.ping()

    async def close(self) -> None:
        """As `Store.close`, of the cache behind."""
        await self._cache.close()

    def take(self, prices: Sequence[Price]) -> None:
        """Hold what the hub tells."""
        current = [price for price in prices if not self._is_outdated(price)]
        self._see(current)
        if self._current:
            self._held.put(current)

    def connected(self) -> None:
        """Begin to hold prices."""
        self._current = True

    def disconnected(self) -> None:
        """Forget everything."""
        self._current = False
        self._held = Held(self._ttl)

    def _see(self, prices: Sequence[Price]) -> None:
        for price in prices:
            if not self._is_outdated(price):
                self._newest[price.asset] = price.timestamp

    def _is_outdated(self, price: Price) -> bool:
        return price.timestamp < self._newest.get(price.asset, price.timestamp)
