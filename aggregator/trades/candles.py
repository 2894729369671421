"""Candles of trades: open, high, low, close, volume and VWAP of intervals. Pure."""

from collections.abc import Iterable
from decimal import Context, Decimal

import msgspec

from aggregator.models import Trade

_VWAP = Context(prec=10)  # significant digits, as many as a price has


class TradeCandle(msgspec.Struct, frozen=True):
    """The trades of one interval from `start`: unix seconds, a multiple of the interval, so days start at 0:00 UTC.

    `volume` is the sum of the volumes that are known, in base units; `vwap` is Σ price·volume / Σ volume over them.
    Both are None if no volume is known, and `vwap` is None if all are 0.
    """

    start: float
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    count: int
    volume: Decimal | None
    vwap: Decimal | None


class TradeCandleBuilder:
    """Takes the trades of one asset from the newest to the oldest, and makes candles of `seconds`."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._newest_first: list[TradeCandle] = []
        self._start: float | None = None  # of the candle that is not complete, which the rest describes
        self._open = self._high = self._low = self._close = self._turnover = Decimal(0)
        self._volume: Decimal | None = None
        self._count = 0

    @property
    def complete(self) -> int:
        """The number of candles that no older trade can change."""
        return len(self._newest_first)

    def add(self, trades: Iterable[Trade]) -> None:
        """Add trades that are older than all others."""
        for trade in trades:
            price, volume = trade.price, trade.volume
            start = trade.timestamp // self._seconds * self._seconds
            if start != self._start:
                self._finish()
                self._begin(start, price)
            self._open = price
            self._high = max(self._high, price)
            self._low = min(self._low, price)
            self._count += 1
            if volume is not None:
                self._volume = volume if self._volume is None else self._volume + volume
                self._turnover += price * volume

    def candles(self, *, whole: bool) -> list[TradeCandle]:
        """Return the candles, oldest first. The oldest one is left out if the trades are not the `whole` of it."""
        if whole:
            self._finish()
        self._start = None
        return self._newest_first[::-1]

    def _begin(self, start: float, price: Decimal) -> None:
        self._start = start
        self._high = self._low = self._close = price
        self._turnover, self._volume, self._count = Decimal(0), None, 0

    def _finish(self) -> None:
        if self._start is not None:
            prices = (self._open, self._high, self._low, self._close)
            vwap = _VWAP.divide(self._turnover, self._volume) if self._volume else None
            self._newest_first.append(TradeCandle(self._start, *prices, self._count, self._volume, vwap))
