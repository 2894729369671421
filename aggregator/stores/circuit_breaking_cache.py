"""A cache that is left alone for a moment after it has failed, so that nobody has to wait for one that hangs.

| state   | call                                     | it fails       | it succeeds   |
| ------- | ---------------------------------------- | -------------- | ------------- |
| awake   | goes through                             | resting        | -             |
| resting | refused at once; after a second, one try | resting, again | awake         |

Reads and writes rest apart, as a Redis that is full or read-only still answers. What could not be written is written
with what comes later, so that the cache does not fall back behind what readers were given from history meanwhile.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aggregator.errors import StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.ports import Cache

T = TypeVar("T")

REST = 1.0  # seconds
_AT_ONCE = 1000  # missed prices that go with one write


class _Rest:
    """Lets calls of one kind through, or refuses them."""

    def __init__(self, clock: Callable[[], float], rest: float) -> None:
        self._clock = clock
        self._rest = rest
        self._why = ""  # empty while awake
        self._until = 0.0
        self._trying = False
        self._era = 0  # counts changes of state: what a call from an earlier one tells is out of date

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`. Raises StoreUnavailable, at once while resting."""
        self._admit()
        era = self._era
        try:
            result = await work()
        except StoreUnavailable as error:
            if era == self._era:
                self._fall_asleep(str(error))
            raise
        else:
            if era == self._era and self._why:
                self._change("")
            return result
        finally:
            if era == self._era:  # cancelled: the next may try
                self._trying = False

    def _admit(self) -> None:
        if not self._why:
            return
        if self._trying or self._clock() < self._until:
            raise StoreUnavailable(f"{self._why} (a moment ago)")
        self._trying = True

    def _fall_asleep(self, why: str) -> None:
        self._change(why)
        self._until = self._clock() + self._rest

    def _change(self, why: str) -> None:
        self._why = why
        self._era += 1
        self._trying = False


class CircuitBreakingCache:
    """`aggregator.ports.Cache` in front of another one. Raises StoreUnavailable, most of the time without waiting."""

    def __init__(
        self,
        cache: Cache,
        clock: Callable[[], float] = time.monotonic,
        rest: float = REST,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._now = now
        self._reads = _Rest(clock, rest)
        self._writes = _Rest(clock, rest)
        self._missed: dict[str, Price] = {}  # by asset, so never more than there are assets

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`."""
        return await self._reads.call(lambda: self._cache.latest(symbols))

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`; what is not taken now goes with a later write, unless there is a newer price by then."""
        try:
            await self._writes.call(lambda: self._write(prices))
        except StoreUnavailable:
            self._keep(prices)
            raise

    async def ping(self) -> None:
        """As `Store.ping`: whoever wants to know gets the truth, however long that takes."""
        await self._cache.ping()

    async def close(self) -> None:
        """As `Store.close`."""
        await self._cache.close()

    async def _write(self, prices: Sequence[Price]) -> None:
        missed = list(self._missed.values())[:_AT_ONCE]
        await self._cache.write([*missed, *prices])
        for price in missed:
            if self._missed.get(price.asset) is price:
                del self._missed[price.asset]

    def _keep(self, prices: Sequence[Price]) -> None:
        latest = self._now() + FUTURE_TOLERANCE  # one from later was made while a clock was wrong
        for price in prices:
            missed = self._missed.get(price.asset)
            if missed is None or price.timestamp >= missed.timestamp or missed.timestamp > latest:
                self._missed[price.asset] = price
