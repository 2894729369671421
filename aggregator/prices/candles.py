"""Makes candles of prices in order of time. Pure; memory is one candle, however long the history."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}


class Candle(msgspec.Struct, frozen=True):
    """The prices of one interval from `start`: unix seconds, a multiple of the interval, so days start at 0:00 UTC."""

    start: float
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    count: int

    def with_price(self, price: Decimal) -> "Candle":
        """Return the candle with one more price, later than all of its own."""
        return Candle(
            self.start, self.open, max(self.high, price), min(self.low, price), close=price, count=self.count + 1
        )


class CandleBuilder:
    """Takes prices in order of time and yields each candle once it is complete."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._candle: Candle | None = None

    def add(self, points: Iterable[tuple[float, Decimal]]) -> Iterator[Candle]:
        """Add (timestamp, price) pairs; yield each candle that a later price completes."""
        for timestamp, price in points:
            start = timestamp // self._seconds * self._seconds
            if self._candle is not None and self._candle.start == start:
                self._candle = self._candle.with_price(price)
                continue
            yield from self.finish()
            self._candle = Candle(start, price, price, price, price, 1)

    def finish(self) -> Iterator[Candle]:
        """Yield the last candle, if any."""
        if self._candle is not None:
            yield self._candle
        self._candle = None
