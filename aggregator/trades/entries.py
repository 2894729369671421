"""Trades of one asset in a row, as running totals of their prices, volumes and products, in exact integers. Pure.

The sum over neighbouring entries is the difference of two totals. So a trade costs one addition whatever the number of
spans, and nothing when it leaves them; and entries merge when all but the last of them are deleted. The totals of an
entry lie side by side: with 1,000 assets they are not in the CPU's cache when a trade comes.
"""

from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

import msgspec

ROW = 3  # totals of an entry: prices, volumes, products
NUMBER = 8  # bytes of a time, and of a total that is not wide


class EntriesState(msgspec.Struct, frozen=True):
    """Entries as plain data. `times` and `totals` are bytes, 8 for each number in the machine's order.

    `wide_totals` has the totals in place of `totals` if one of them needs more than 64 bits.
    """

    times: bytes
    totals: bytes
    wide_totals: list[int]
    counts: list[int]
    last_prices: list[int]
    offset: int
    merged_until: float


class _Wide(list[int]):
    """Totals of which one needs more than 64 bits; 36 bytes more for each than in an array."""

    fromlist = list.extend


class Entries:
    """The entries by index, in the order of their times. Entry 0 is before all trades, or one that no span needs.

    An entry is one trade. The oldest entries may be several trades each, of one second.
    """

    __slots__ = (
        "_counts",
        "_last_prices",
        "_loose",
        "_offset",
        "_price_total",
        "_product_total",
        "_totals",
        "_volume_total",
        "merged_until",
        "times",
    )

    def __init__(self) -> None:
        self.times = array("d", [0.0])  # unix seconds of the last trade of each entry
        self.merged_until = 0.0
        """The time of the newest entry of several trades."""
        self._counts: list[int] = []  # number of all trades up to each entry that may be of several
        self._last_prices: list[int] = []  # of the same entries
        self._offset = 0  # for a later entry, the difference of that number and its index
        self._price_total = self._volume_total = self._product_total = 0  # up to the last entry
        self._loose = 0  # the first entry with its own numbers in place of totals, until `settle`; 0: none
        self._totals: array[int] | _Wide = array("q", [0] * ROW)

    def append(self, time: float, price: int, volume: int) -> None:
        """Add an entry behind all others."""
        if self._loose:
            self._put(len(self._totals), price, volume)
            self.times.append(time)
            return
        self.times.append(time)
        self._price_total = price_total = self._price_total + price
        self._volume_total = volume_total = self._volume_total + volume
        self._product_total = product_total = self._product_total + price * volume
        try:
            self._totals.fromlist([price_total, volume_total, product_total])  # all of them or nothing
        except OverflowError:
            self._hold([*self._totals, price_total, volume_total, product_total])

    def insert(self, index: int, time: float, price: int, volume: int) -> None:
        """Add an entry before entry `index`, which is not entry 0."""
        self._loosen(index)
        if index < len(self._counts):
            self._counts.insert(index, 1)
            self._last_prices.insert(index, price)
        self._put(ROW * index, price, volume)
        self.times.insert(index, time)

    def settle(self) -> None:
        """Make totals of the numbers that `insert` and `append` have left: once for all inserts of a batch."""
        if self._loose:
            first, self._loose = self._loose, 0
            totals = [*self._totals[ROW * (first - 1) :]]  # of the entry before it, and of all later ones
            for column in range(ROW):
                totals[column::ROW] = accumulate(totals[column::ROW])
            self._replace(ROW * first, totals[ROW:])
            self._counts[first - 1 :] = accumulate(self._counts[first - 1 :])

    def last_price(self, index: int) -> int:
        """Return the price of the last trade of a settled entry other than entry 0."""
        if index < len(self._last_prices):
            return self._last_prices[index]
        return self._totals[ROW * index] - self._totals[ROW * (index - 1)]

    def count_since(self, index: int) -> int:
        """Return the number of trades from an entry other than entry 0 on."""
        if index > len(self._counts):
            return len(self.times) - index
        return len(self.times) - 1 + self._offset - self._count(index - 1)

    def delete(self, gone: int) -> None:
        """Delete the oldest `gone` entries; the one after them becomes entry 0."""
        self.settle()
        del self.times[:gone]
        del self._totals[: ROW * gone]
        del self._counts[:gone], self._last_prices[:gone]
        self._offset += gone
        if isinstance(self._totals, _Wide):
            self._hold(self._totals)

    def merge(self, borders: Sequence[int]) -> list[int]:
        """Merge the entries between two successive borders (rising, from 1) by second.

        Return the indices that the entries before the last border had, one for each that is left.
        """
        self.settle()
        left = [0, *(last for first, end in pairwise(borders) for last in self._ends_of_seconds(first, end))]
        until = borders[-1]
        counts = [self._count(index) for index in left]
        for index, (before, count) in zip(left[1:], pairwise(counts), strict=True):
            if count > before + 1:
                self.merged_until = max(self.merged_until, self.times[index])
        self._last_prices[:until] = [self.last_price(index) if index else 0 for index in left]
        self._counts[:until] = counts
        self._offset += until - len(left)
        self.times[:until] = array("d", [self.times[index] for index in left])
        totals = self._totals
        kept = [total for index in left for total in totals[ROW * index : ROW * (index + 1)]]
        self._hold([*kept, *totals[ROW * until :]])
        return left

    def refine(self, price: int, volume: int) -> None:
        """Multiply all prices and all volumes, as their units have become finer."""
        self.settle()
        factors = (price, volume, price * volume)
        self._last_prices = [one * price for one in self._last_prices]
        self._hold([total * factors[number % ROW] for number, total in enumerate(self._totals)])

    def _state(self) -> EntriesState:
        """Return the state as plain data."""
        self.settle()
        counts, prices = [*self._counts], [*self._last_prices]
        totals = self._totals
        narrow, wide = (b"", [*totals]) if isinstance(totals, _Wide) else (totals.tobytes(), [])
        return EntriesState(self.times.tobytes(), narrow, wide, counts, prices, self._offset, self.merged_until)

    def _restore(self, state: EntriesState) -> None:
        """Continue from a snapshot."""
        self.times = array("d")
        self.times.frombytes(state.times)
        self._counts, self._last_prices = [*state.counts], [*state.last_prices]
        self._offset, self.merged_until = state.offset, state.merged_until
        if state.wide_totals:
            self._hold(state.wide_totals)
            return
        self._totals = array("q")
        self._totals.frombytes(state.totals)
        self._price_total, self._volume_total, self._product_total = self._totals[-ROW:]

    def _count(self, index: int) -> int:
        """Return the number of all trades up to an entry."""
        return self._counts[index] if index < len(self._counts) else index + self._offset

    def _ends_of_seconds(self, first: int, end: int) -> list[int]:
        """Return the last entry of each second among those from `first` to before `end`."""
        seconds = [int(time) for time in self.times[first:end]]
        return [first + place for place, (one, after) in enumerate(pairwise([*seconds, 0])) if one != after]

    def _loosen(self, index: int) -> None:
        """Replace the totals of entries from `index` on by their own numbers."""
        end = self._loose or len(self.times)
        if index < end:
            totals = [*self._totals[ROW * (index - 1) : ROW * end]]
            numbers = [total - before for before, total in zip(totals, totals[ROW:], strict=False)]
            self._splice(ROW * index, ROW * end, numbers)
            counts = self._counts[index - 1 : end]
            self._counts[index:end] = [count - before for before, count in pairwise(counts)]
            self._loose = index

    def _put(self, place: int, price: int, volume: int) -> None:
        """Insert the numbers of an entry, which is loose, into the totals."""
        self._splice(place, place, [price, volume, price * volume])

    def _splice(self, place: int, end: int, numbers: list[int]) -> None:
        """Replace the totals from `place` to before `end`."""
        try:
            if isinstance(self._totals, _Wide):
                self._totals[place:end] = numbers
            else:
                self._totals[place:end] = array("q", numbers)
        except OverflowError:
            self._totals = _Wide(self._totals)
            self._totals[place:end] = numbers

    def _replace(self, place: int, totals: list[int]) -> None:
        """Replace the totals from `place` to the end."""
        self._price_total, self._volume_total, self._product_total = totals[-ROW:]
        self._splice(place, len(self._totals), totals)

    def _hold(self, totals: Sequence[int]) -> None:
        """Hold these totals, less those of entry 0: 8 bytes each while they fit 64 bits."""
        base = totals[:ROW]
        relative = [total - base[number % ROW] for number, total in enumerate(totals)]
        self._price_total, self._volume_total, self._product_total = relative[-ROW:]
        try:
            self._totals = array("q", relative)
        except OverflowError:
            self._totals = _Wide(relative)
