"""A history in the memory of the test, which can be away or hold its reads back."""

import asyncio
from bisect import insort
from collections.abc import Sequence

from aggregator.errors import StoreUnavailable
from aggregator.models import Price


class MemoryHistory:
    """`aggregator.ports.History`. While `away`, reads raise StoreUnavailable; `asked` has the symbol of each read.

    While `slow` is an event, a read takes its result at once and returns it when the event is set.
    """

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []
        self.slow: asyncio.Event | None = None
        self._prices: dict[str, dict[float, Price]] = {}
        self._times: dict[str, list[float]] = {}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep `prices`; of two with the same key, the first."""
        for price in prices:
            if price.timestamp not in self._prices.setdefault(price.asset, {}):
                self._prices[price.asset][price.timestamp] = price
                insort(self._times.setdefault(price.asset, []), price.timestamp)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol."""
        return {symbol: self._prices[symbol][self._times[symbol][-1]] for symbol in symbols if symbol in self._times}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        self.asked.append(symbol)
        if self.away:
            raise StoreUnavailable("away")
        times = [time for time in self._times.get(symbol, []) if start <= time <= end]
        found = [self._prices[symbol][time] for time in (times[::-1] if newest_first else times)[:limit]]
        if self.slow is not None:
            await self.slow.wait()
        return found

    async def run(self) -> None:
        """Wait; there is nothing to do."""
        await asyncio.Event().wait()

    async def drain(self, patience: float) -> int:  # noqa: ARG002  # History's signature
        """Return 0: nothing waits to be written."""
        return 0

    async def ping(self) -> None:
        """There is nothing to reach."""

    async def close(self) -> None:
        """There is nothing to close."""
