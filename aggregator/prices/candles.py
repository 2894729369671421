"""Prices in order of time to candles. Pure, and as large as one candle, however long the history."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}


class Candle(msgspec.Struct, frozen=True):
    """The prices from `start` (unix seconds, a multiple of the interval, so that days begin at midnight UTC) on."""

    start: float
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    count: int

    def with_price(self, price: Decimal) -> "Candle":
        """Return the candle with one more price, later than all it has."""
        return Candle(
            self.start, self.open, max(self.high, price), min(self.low, price), close=price, count=self.count + 1
        )


class CandleBuilder:
    """Takes points in order of time and gives back each candle as it is complete."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._candle: Candle | None = None

    def add(self, points: Iterable[tuple[float, Decimal]]) -> Iterator[Candle]:
        """Take (timestamp, price) pairs; yield the candles that later ones have completed."""
        for timestamp, price in points:
            start = timestamp // self._seconds * self._seconds
            if self._candle is not None and self._candle.start == start:
                self._candle = self._candle.with_price(price)
                continue
            yield from self.finish()
            self._candle = Candle(start, price, price, price, price, 1)

    def finish(self) -> Iterator[Candle]:
        """Yield the last candle, if there is one."""
        if self._candle is not None:
            yield self._candle
        self._candle = None
