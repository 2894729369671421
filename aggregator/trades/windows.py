"""The last trades of one asset in exact integers, and sums over the latest part of them. Pure.

Prices and volumes are kept as whole multiples of a power of ten that every number so far fits, so that a sum from which
as much is taken as was added is exact. Sums of binary or rounded numbers would drift. Times are whole microseconds.

An entry is one trade. Where there are more than `most` of them, the oldest become one entry for each second.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from aggregator.trades.column import Column

MICROSECONDS = 1_000_000
_SLACK = 256  # entries that no span needs before they are deleted

Key = tuple[int, str, str]
"""The place of a trade in its window: its time in microseconds, venue and id."""


class Merged(msgspec.Struct, frozen=True):
    """What an entry of several trades does not have in the columns: sum of price x volume, and the last price."""

    product: int
    last_price: int


class WindowState(msgspec.Struct, frozen=True):
    """A window as plain data: integers of any size, texts, lists and dicts."""

    times: list[int]
    counts: list[int]
    prices: tuple[int, list[int]]  # unit, values
    volumes: tuple[int, list[int]]
    merged: dict[int, Merged]
    by_second_until: int
    recent: list[Key]
    spans: list[tuple[int, int, int, int, int]]  # first, count, and the sums of price, volume and product


class Span:
    """Sums over the entries of a window that are less than `seconds` older than its newest one."""

    def __init__(self, seconds: int) -> None:
        self.length = seconds * MICROSECONDS
        self.first = 0  # index of the oldest entry
        self.count = self.price_sum = self.volume_sum = self.product_sum = 0

    def refine(self, factor: int, *, is_price: bool) -> None:
        """Multiply the sums, as the unit of the prices or of the volumes has become finer."""
        if is_price:
            self.price_sum *= factor
        else:
            self.volume_sum *= factor
        self.product_sum *= factor


class TradeWindow:
    """The trades of one asset in the order of their keys, as long as one of the `spans` (shortest first) needs them.

    `most` bounds the entries. `late` is in microseconds: a trade that is further behind the newest is never added.
    """

    def __init__(self, spans: Sequence[Span], most: int, late: int) -> None:
        self._spans = spans
        self._most = most
        self._late = late
        self.times = array("q")  # of the last trade of each entry
        self.counts = array("q")
        self.prices, self.volumes = Column(), Column()
        self.merged: dict[int, Merged] = {}  # of entries of several trades, by their time
        self.by_second_until = 0  # the time of the newest entry of several trades
        self._recent: list[Key] = []  # of the newest entries: those that a trade may still come before

    @property
    def newest(self) -> Key:
        """The key of the newest trade. Raises IndexError before the first one."""
        return self._recent[-1]

    def add(self, key: Key, price: Decimal, volume: Decimal | None) -> int | None:
        """Add a trade; return its volume in units, or None, and add nothing, if the window has the trade already."""
        whole_price = self.prices.whole(price)
        if whole_price is None:
            whole_price = self._refined(self.prices, price)
        whole_volume = 0
        if volume is not None:
            found = self.volumes.whole(volume)
            whole_volume = self._refined(self.volumes, volume) if found is None else found
        recent = self._recent
        if not recent or key > recent[-1]:
            recent.append(key)
            self._append(key[0], whole_price, whole_volume)
        elif not self._insert(key, whole_price, whole_volume):
            return None
        product = whole_price * whole_volume
        times = self.times
        newest = times[-1]
        for span in self._spans:
            span.count += 1
            span.price_sum += whole_price
            span.volume_sum += whole_volume
            span.product_sum += product
            if times[span.first] <= newest - span.length:
                self._shorten(span, newest - span.length)
        if len(recent) > _SLACK or len(times) > self._most or self._spans[0].first > _SLACK:
            self._bound()
        return whole_volume

    def has(self, key: Key) -> bool:
        """Whether the window has a trade that is not late."""
        place = bisect_left(self._recent, key)
        return place < len(self._recent) and self._recent[place] == key

    def snapshot(self) -> WindowState:
        """Return the state of the window and of its spans."""
        return WindowState(
            [*self.times],
            [*self.counts],
            (self.prices.unit, [*self.prices.values]),
            (self.volumes.unit, [*self.volumes.values]),
            dict(self.merged),
            self.by_second_until,
            [*self._recent],
            [(one.first, one.count, one.price_sum, one.volume_sum, one.product_sum) for one in self._spans],
        )

    def restore(self, state: WindowState) -> None:
        """Continue from a snapshot of a window with the same spans."""
        self.times, self.counts = array("q", state.times), array("q", state.counts)
        for column, (unit, values) in ((self.prices, state.prices), (self.volumes, state.volumes)):
            column.unit = unit
            column.replace(values)
        self.merged, self.by_second_until = dict(state.merged), state.by_second_until
        self._recent = [*state.recent]
        for span, numbers in zip(self._spans, state.spans, strict=True):
            span.first, span.count, span.price_sum, span.volume_sum, span.product_sum = numbers

    def product(self, index: int) -> int:
        """Return the sum of price x volume of an entry."""
        if self.counts[index] == 1:
            return self.prices.values[index] * self.volumes.values[index]
        return self.merged[self.times[index]].product

    def last_price(self, index: int) -> int:
        """Return the price of the last trade of an entry."""
        if self.counts[index] == 1:
            return self.prices.values[index]
        return self.merged[self.times[index]].last_price

    def _append(self, time: int, price: int, volume: int) -> None:
        """Add an entry behind all others."""
        self.times.append(time)
        self.counts.append(1)
        for column, value in ((self.prices, price), (self.volumes, volume)):
            try:
                column.values.append(value)
            except OverflowError:
                column.insert(len(column.values), value)

    def _insert(self, key: Key, price: int, volume: int) -> bool:
        """Add an entry before others; return False, and add nothing, if the window has the trade already."""
        recent, times = self._recent, self.times
        place = bisect_left(recent, key)
        if recent[place] == key:
            return False
        index = len(times) - len(recent) + place
        if not place:
            index = min(index, bisect_right(times, key[0]))
        recent.insert(place, key)
        times.insert(index, key[0])
        self.counts.insert(index, 1)
        self.prices.insert(index, price)
        self.volumes.insert(index, volume)
        return True

    def _refined(self, column: Column, number: Decimal) -> int:
        """Return the number in units of the column, after the unit has become as fine as the number needs."""
        is_price = column is self.prices
        factor = column.refine(number)
        for span in self._spans:
            span.refine(factor, is_price=is_price)
        self.merged = {
            time: Merged(one.product * factor, one.last_price * (factor if is_price else 1))
            for time, one in self.merged.items()
        }
        whole = column.whole(number)
        assert whole is not None  # noqa: S101  # the unit is fine enough now
        return whole

    def _shorten(self, span: Span, until: int) -> None:
        """Take the entries out of a span whose time is `until` or earlier."""
        times, counts, prices, volumes = self.times, self.counts, self.prices.values, self.volumes.values
        first = span.first
        while times[first] <= until:
            price, volume, count = prices[first], volumes[first], counts[first]
            span.count -= count
            span.price_sum -= price
            span.volume_sum -= volume
            span.product_sum -= price * volume if count == 1 else self.merged[times[first]].product
            first += 1
        span.first = first

    def _bound(self) -> None:
        """Delete entries that no span needs, and merge old ones where there are too many."""
        recent = self._recent
        if len(recent) > _SLACK and (
            len(recent) > self._most // 2 or recent[_SLACK // 2][0] < self.times[-1] - self._late
        ):
            old = bisect_left(recent, (self.times[-1] - self._late, "", ""))
            del recent[: max(old, len(recent) - self._most // 4)]
        gone = min(self._spans[-1].first, self._spans[0].first - 1)  # momentum needs the last one before the short span
        if gone > _SLACK:
            self._delete(gone)
        elif len(self.times) > self._most:
            self._delete(gone)
            self._merge(min(self._most // 2, len(self.times) - len(recent)))

    def _delete(self, gone: int) -> None:
        """Delete the oldest entries."""
        if gone <= 0:
            return
        for index in range(gone):
            if self.counts[index] > 1:
                del self.merged[self.times[index]]
        for column in (self.times, self.counts, self.prices.values, self.volumes.values):
            del column[:gone]
        for span in self._spans:
            span.first -= gone

    def _merge(self, until: int) -> None:
        """Merge the entries before index `until` by second; never two that the beginning of a span separates."""
        borders = sorted({0, until, *(span.first for span in self._spans if span.first < until)})
        parts = [self._by_second(first, last) for first, last in pairwise(borders)]
        after = {border: sum(map(len, parts[:number])) for number, border in enumerate(borders)}
        entries = [entry for part in parts for entry in part]
        self.times[:until] = array("q", [entry[0] for entry in entries])
        self.counts[:until] = array("q", [entry[1] for entry in entries])
        self.prices.replace([*(entry[2] for entry in entries), *self.prices.values[until:]])
        self.volumes.replace([*(entry[3] for entry in entries), *self.volumes.values[until:]])
        for span in self._spans:
            span.first = after.get(span.first, span.first - until + after[until])

    def _by_second(self, first: int, last: int) -> list[tuple[int, int, int, int]]:
        """Return the entries from `first` to before `last`, those of one second as one."""
        merged = []
        while first < last:
            second = self.times[first] // MICROSECONDS
            end = first + 1
            while end < last and self.times[end] // MICROSECONDS == second:
                end += 1
            merged.append(self._as_one(first, end))
            first = end
        return merged

    def _as_one(self, first: int, end: int) -> tuple[int, int, int, int]:
        """Return time, count, price sum and volume sum of the entries from `first` to before `end`."""
        time = self.times[end - 1]
        if end - first > 1:
            one = Merged(sum(map(self.product, range(first, end))), self.last_price(end - 1))
            for index in range(first, end):
                self.merged.pop(self.times[index], None)
            self.merged[time] = one
            self.by_second_until = max(self.by_second_until, time)
        prices, volumes = self.prices.values[first:end], self.volumes.values[first:end]
        return time, sum(self.counts[first:end]), sum(prices), sum(volumes)
