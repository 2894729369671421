"""Bars: candles for charts, as one flat array of floats. Pure.

A bar takes 48 bytes; a Candle takes about ten times as much. A float keeps 15 digits, and a price has ten.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

_FIELDS = 6  # start, open, high, low, close, count


class Bars:
    """Bars of one interval in order of time. A bar is start (unix seconds), open, high, low, close and count."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self._numbers = array("d", numbers)

    def __len__(self) -> int:
        return len(self._numbers) // _FIELDS

    def __iter__(self) -> Iterator[Sequence[float]]:
        """Yield each bar as a sequence of its six numbers."""
        for place in range(0, len(self._numbers), _FIELDS):
            yield self._numbers[place : place + _FIELDS]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bars) and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]  # compared by content, as a list is

    @property
    def starts(self) -> list[int]:
        """The beginning of each bar."""
        return [int(start) for start in self._numbers[0::_FIELDS]]

    @property
    def opens(self) -> list[float]:
        """The first price of each bar."""
        return self._numbers[1::_FIELDS].tolist()

    @property
    def highs(self) -> list[float]:
        """The highest price of each bar."""
        return self._numbers[2::_FIELDS].tolist()

    @property
    def lows(self) -> list[float]:
        """The lowest price of each bar."""
        return self._numbers[3::_FIELDS].tolist()

    @property
    def closes(self) -> list[float]:
        """The last price of each bar."""
        return self._numbers[4::_FIELDS].tolist()

    def between(self, start: float, end: float) -> "Bars":
        """Return the bars that begin at `start` or later and before `end`."""
        return self._cut(self._place(start), self._place(end))

    def last(self, count: int) -> "Bars":
        """Return the newest `count` bars."""
        return self._cut(max(0, len(self) - count), len(self))

    def _place(self, moment: float) -> int:
        """Return the number of bars that begin before `moment`."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._numbers[middle * _FIELDS] < moment:
                low = middle + 1
            else:
                high = middle
        return low

    def _cut(self, first: int, last: int) -> "Bars":
        return self if (first, last) == (0, len(self)) else Bars(self._numbers[first * _FIELDS : last * _FIELDS])


NO_BARS = Bars()


@runtime_checkable
class BarSource(Protocol):
    """Has the bars of all stored prices. A history that keeps bars beside its prices is one."""

    async def bars(self, symbol: str, seconds: int, start: int, end: int) -> Bars:
        """Return the bars of `seconds` that begin from `start`, inclusive, to `end`, exclusive. Raises StoreError.

        `seconds` is one of candles.INTERVALS; `start` and `end` are multiples of it.
        """


@runtime_checkable
class PointSource(Protocol):
    """Reads times and prices without the rest of the prices. A history that does so faster is one."""

    async def points(self, symbol: str, start: float, end: float, limit: int) -> Sequence[tuple[float, float]]:
        """Return the first (timestamp, price) pairs of `start` <= timestamp <= `end`, by time, at most `limit`.

        Raises StoreError.
        """


@runtime_checkable
class MinuteSource(Protocol):
    """Computes bars of a minute itself. A history that does so faster than it returns prices is one."""

    async def minutes(self, symbol: str, start: int, end: int) -> Bars:
        """Return the bars of a minute of the prices from `start`, inclusive, to `end`, exclusive. Raises StoreError."""


def joined(parts: Iterable[Bars]) -> Bars:
    """Return the bars of all parts, which are in order of time."""
    numbers = array("d")
    for part in parts:
        numbers.extend(part._numbers)  # noqa: SLF001  # the same module
    return Bars(numbers)


def bars_of(points: Iterable[tuple[float, float]], seconds: int) -> Bars:
    """Return the bars of (timestamp, price) pairs in order of time."""
    return _merged(((moment, price, price, price, price, 1) for moment, price in points), seconds)


def merged(bars: Bars, seconds: int) -> Bars:
    """Return bars of `seconds`, which is a multiple of the interval of `bars`."""
    return _merged(bars, seconds)


def _merged(parts: Iterable[Sequence[float]], seconds: int) -> Bars:
    numbers: list[float] = []
    start = opening = high = low = close = count = -1.0
    for moment, first, most, least, last, number in parts:
        begin = moment // seconds * seconds
        if begin != start:
            if count > 0:
                numbers += (start, opening, high, low, close, count)
            start, opening, high, low, close, count = begin, first, most, least, last, number
            continue
        high, low, close, count = max(high, most), min(low, least), last, count + number
    if count > 0:
        numbers += (start, opening, high, low, close, count)
    return Bars(numbers)
