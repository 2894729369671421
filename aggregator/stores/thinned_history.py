"""Writes to a history only the last price of each gap, for stores that are paid by the write.

The gaps of `gap` seconds begin at multiples of `gap` in unix time; a price belongs to the gap of its timestamp. A price
is held until its gap is over. So prices that clients have got are missing in history: all but the last of each gap, and
of the gap under way also the last one if the process is killed.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import structlog

from aggregator.errors import StoreError
from aggregator.models import Price
from aggregator.ports import Sink

_LATE_SECONDS = 1.0  # after the end of a gap, in which prices of it may still come


class ThinnedHistory:
    """`aggregator.ports.Sink` in front of a history. `now` returns unix seconds."""

    def __init__(self, history: Sink, gap: float, now: Callable[[], float] = time.time) -> None:
        self._history = history
        self._gap = gap
        self._now = now
        self._held: dict[str, Price] = {}  # the last price of the latest gap, by symbol
        self._writing = asyncio.Lock()
        self._log = structlog.get_logger().bind(store="history")

    async def write(self, prices: Sequence[Price]) -> None:
        """Hold each price, and write those whose gaps they end. Raises StoreError, and then holds what it held."""
        async with self._writing:
            held, over = dict(self._held), []
            for price in prices:
                before = held.get(price.asset)
                if before is not None and price.timestamp < before.timestamp:
                    over.append(price)
                    continue
                if before is not None and self._begin(before) != self._begin(price):
                    over.append(before)
                held[price.asset] = price
            if over:
                await self._history.write(over)
            self._held = held

    async def run(self) -> None:
        """Write the prices whose gaps have ended without a later price; never returns."""
        while True:
            await asyncio.sleep(_LATE_SECONDS)
            try:
                await self._write_begun_by(self._now() - self._gap - _LATE_SECONDS)
            except StoreError as error:
                self._log.debug("held_prices_not_written", error=str(error))  # tried again in a second

    async def close(self) -> None:
        """Write all held prices."""
        try:
            await self._write_begun_by(math.inf)
        except StoreError as error:
            self._log.error("held_prices_lost", prices=len(self._held), error=str(error))

    async def _write_begun_by(self, latest: float) -> None:
        """Write the held prices whose gaps began by `latest`."""
        async with self._writing:
            over = [price for price in self._held.values() if self._begin(price) <= latest]
            if over:
                await self._history.write(over)
                for price in over:
                    del self._held[price.asset]

    def _begin(self, price: Price) -> float:
        return price.timestamp // self._gap * self._gap
