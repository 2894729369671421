"""The last trades of one asset in order, and sums over the latest part of them. Pure.

Prices and volumes are whole multiples of units that the caller keeps, so sums are exact. Times are unix seconds, exact
to the microsecond. From 2004 to 2038 such numbers have one binary grid, so a time less whole seconds is exact too.
"""

from array import array
from bisect import bisect_left, bisect_right
from itertools import islice

import msgspec

from aggregator.models import Trade
from aggregator.trades.entries import NUMBER, ROW, Entries, EntriesState

_PERIOD = 64  # recent trades that nothing needs before they are deleted; one is as large as twelve entries
_SLACK, _PART = 64, 32  # entries that no span needs are deleted once they are more than 64, and more than a 32nd of all


Sums = tuple[int, int | None, int, int, int, int, int, int, int]
"""The newest price, and the newest one before the short span if there is one.

Then of the short span: the number of trades, and sums of volume and of price x volume; and of the long one: the number,
and sums of price, of volume and of price x volume. In one tuple: they are made for each trade.
"""


class WindowState(msgspec.Struct, frozen=True):
    """A window as plain data: numbers, texts, bytes and lists; integers of any size."""

    entries: EntriesState
    firsts: tuple[int, int]
    recent: list[Trade]
    full_at: int

    @property
    def is_sound(self) -> bool:
        """Whether its parts fit together. They may not if another version or another kind of machine has made them."""
        found, number = self.entries, len(self.entries.times) // NUMBER
        if len(found.times) != NUMBER * number or not self.recent:
            return False
        size = NUMBER * len(found.wide_totals) or len(found.totals)
        return (
            array("d", found.times)[-1] == self.recent[-1].timestamp
            and size == NUMBER * ROW * number
            and len(found.counts) == len(found.last_prices) <= number
            and all(0 < first < number for first in self.firsts)
        )


class TradeWindow(Entries):
    """The trades of one asset in the order of their keys, as long as a span of `short` or `long` seconds needs them.

    `most` bounds the entries, up to 64 more. `late` is in seconds and less than `short`: a trade that is further
    behind the newest is never added.
    """

    __slots__ = ("_full_at", "_late", "_long", "_long_first", "_most", "_recent", "_short", "_short_first")

    def __init__(self, short: float, long: float, most: int, late: float) -> None:
        super().__init__()
        self._short, self._long = short, long
        self._short_first = self._long_first = 1  # the oldest entry of each span, or one before it
        self._most = most
        self._late = late
        self._recent: list[Trade] = []  # the newest trades: those that a trade may still come before
        self._full_at = _PERIOD  # number of recent trades at which old ones are deleted

    def add(self, trade: Trade, price: int, volume: int) -> int | None:
        """Add a trade; return the number of newer ones. None, and nothing added, if the window has the trade."""
        time, recent = trade.timestamp, self._recent
        if len(recent) >= self._full_at:
            self._bound()
        if time <= self.times[-1]:
            place = self._place(trade)
            if place is None:
                return None
            if place < len(recent):
                return self._insert(place, trade, price, volume)
        recent.append(trade)
        self.append(time, price, volume)
        return 0

    def volumes_after(self, newer: int, most: int) -> int:
        """Return how many of the `newer` newest trades have a volume; `most` if they are more."""
        with_volume = (True for trade in islice(reversed(self._recent), newer) if trade.volume is not None)
        return sum(islice(with_volume, most))

    def sums(self) -> Sums:
        """Return the sums at the newest trade. Raises IndexError before the first one."""
        if self._loose:
            self.settle()
        times, totals, short, long = self.times, self._totals, self._short_first, self._long_first
        newest = times[-1]
        until = newest - self._short
        while times[short] <= until:
            short += 1
        until = newest - self._long
        while times[long] <= until:
            long += 1
        self._short_first, self._long_first = short, long
        volume, product = self._volume_total, self._product_total
        row, long_row = ROW * short - ROW, ROW * long - ROW  # of the entries before the spans
        number, before = len(times), None
        short_count, long_count = number - short, number - long
        if self._counts:
            short_count, long_count = self.count_since(short), self.count_since(long)
        if short > 1:
            before = self.last_price(short - 1) if self._counts else totals[row] - totals[row - ROW]
        price = self._price_total
        return (
            price - totals[-2 * ROW],
            before,
            short_count,
            volume - totals[row + 1],
            product - totals[row + 2],
            long_count,
            price - totals[long_row],
            volume - totals[long_row + 1],
            product - totals[long_row + 2],
        )

    def has(self, trade: Trade) -> bool:
        """Whether the window has a trade that is not late."""
        return trade.timestamp <= self.times[-1] and self._place(trade) is None

    def snapshot(self) -> WindowState:
        """Return the state as plain data."""
        return WindowState(self._state(), (self._short_first, self._long_first), [*self._recent], self._full_at)

    def restore(self, state: WindowState) -> None:
        """Continue from a snapshot of a window with the same spans."""
        self._restore(state.entries)
        self._short_first, self._long_first = state.firsts
        self._recent, self._full_at = [*state.recent], state.full_at

    def _place(self, trade: Trade) -> int | None:
        """Return the place of a trade among the recent ones; None if it is there already."""
        recent, times, time = self._recent, self.times, trade.timestamp
        old = len(times) - len(recent)
        first, end = bisect_left(times, time, old) - old, bisect_right(times, time, old) - old
        place = bisect_left(recent, _order(trade), first, end, key=_order)
        return None if place < end and _order(recent[place]) == _order(trade) else place

    def _insert(self, place: int, trade: Trade, price: int, volume: int) -> int:
        """Add a trade before recent ones; return the number of these."""
        recent, times = self._recent, self.times
        index = len(times) - len(recent) + place
        if not place:
            index = min(index, max(1, bisect_right(times, trade.timestamp)))
        recent.insert(place, trade)
        self.insert(index, trade.timestamp, price, volume)
        return len(recent) - place - 1

    def _bound(self) -> None:
        """Delete what neither a span nor a later trade needs, and merge old entries where there are too many."""
        recent, times = self._recent, self.times
        old = len(times) - len(recent)
        in_time = bisect_left(times, times[-1] - self._late, old) - old
        del recent[: max(in_time, len(recent) - self._most // 4)]
        self._full_at = len(recent) + _PERIOD
        self.sums()  # it finds the beginnings of the spans
        short, long = self._short_first, self._long_first
        gone = min(short - 2, long - 1)  # the price before the short span needs two entries
        if gone > max(_SLACK, len(times) // _PART) or (gone > 0 and len(times) > self._most):
            self.delete(gone)
            self._short_first, self._long_first = short - gone, long - gone
        if len(times) > self._most:
            self._merge_old(min(self._most // 2, len(times) - len(recent)))

    def _merge_old(self, until: int) -> None:
        """Merge the entries before entry `until` by second; never two that the beginning of a span separates."""
        firsts = self._short_first, self._long_first
        left = self.merge(sorted({1, until, *(first for first in firsts if first < until)}))
        fewer = until - len(left)
        self._short_first, self._long_first = (
            bisect_left(left, first) if first < until else first - fewer for first in firsts
        )


def _order(trade: Trade) -> tuple[str, str]:
    """Return what orders the trades of one time."""
    return trade.venue, trade.id
