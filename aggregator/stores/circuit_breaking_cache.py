"""A cache behind a circuit breaker, so that requests do not wait for a cache that hangs.

The breaker opens at the first failure, admits one call after a second, and closes when that call succeeds.

Reads and writes have a breaker each, because a Redis that is full or read-only still answers reads. Prices that could
not be written are written together with later ones. Otherwise the cache would return older prices than clients have got
from history in the meantime.
"""

import time
from collections.abc import Callable, Sequence

from aggregator.errors import StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.ports import Cache
from aggregator.resilience.circuit_breaker import BreakerRules, CircuitBreaker

OPEN_SECONDS = 1.0
_MISSED_IN_WRITE = 1000  # missed prices that are added to one write

_RULES = BreakerRules(
    errors=StoreUnavailable,
    refusal=lambda _reason, failure: StoreUnavailable(f"{failure} (a moment ago)"),
    failures=1,
    open_seconds=OPEN_SECONDS,
    probes=1,
)


class CircuitBreakingCache:
    """`aggregator.ports.Cache` in front of another one. Raises StoreUnavailable, at once while a breaker is open."""

    def __init__(
        self,
        cache: Cache,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._now = now
        self._reads = CircuitBreaker(_RULES, clock)
        self._writes = CircuitBreaker(_RULES, clock)
        self._missed: dict[str, Price] = {}  # by asset, so never more than there are assets

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`."""
        with self._reads.attempt():
            return await self._cache.latest(symbols)

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`. Prices that are not written now go with a later write, except where a newer one came."""
        try:
            with self._writes.attempt():
                await self._write(prices)
        except StoreUnavailable:
            self._keep(prices)
            raise

    async def ping(self) -> None:
        """As `Store.ping`, past the breakers: a health check needs the cache's present state."""
        await self._cache.ping()

    async def close(self) -> None:
        """As `Store.close`."""
        await self._cache.close()

    async def _write(self, prices: Sequence[Price]) -> None:
        missed = list(self._missed.values())[:_MISSED_IN_WRITE]
        await self._cache.write([*missed, *prices])
        for price in missed:
            if self._missed.get(price.asset) is price:
                del self._missed[price.asset]

    def _keep(self, prices: Sequence[Price]) -> None:
        """Keep each asset's newest price for a later write; a price of the future, from a wrong clock, gives way."""
        latest = self._now() + FUTURE_TOLERANCE
        for price in prices:
            missed = self._missed.get(price.asset)
            if missed is None or price.timestamp >= missed.timestamp or missed.timestamp > latest:
                self._missed[price.asset] = price
