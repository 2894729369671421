"""The 24-hour figures of an asset: change, highest and lowest price, volume. Pure.

The window begins at a multiple of five minutes (`BUCKET`) of unix time, the last one that is at least 24 hours ago, so
it is up to five minutes longer than a day. Within that window the figures are exact. Prices are kept as one bucket for
each five minutes, so memory does not grow with the number of prices: a bucket ends at a multiple of five minutes,
inclusive, and the window always begins between two buckets. Where memory is short, buckets may be longer.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Price

DAY = 86_400.0  # seconds
BUCKET = 300.0  # the usual length of a bucket, in seconds
_PERCENT = Context(prec=10, rounding=ROUND_HALF_EVEN)


class MissingFigures(StrEnum):
    """The reason why an asset has no figures now.

    LOADING: the stored prices of the day are being read. HISTORY_UNAVAILABLE: they cannot be read; the service tries
    again. HISTORY_TOO_YOUNG: no price is stored from the beginning of the window or before it. CUT_OFF: new prices of
    other processes do not arrive.
    """

    LOADING = "loading"
    HISTORY_UNAVAILABLE = "history_unavailable"
    HISTORY_TOO_YOUNG = "history_too_young"
    CUT_OFF = "cut_off"


class Figures(msgspec.Struct, frozen=True):
    """The 24-hour figures at a price.

    `change_24h` is the price less the one that was current at `figures_since`, where the window begins (unix seconds).
    `high_24h` and `low_24h` are those of the prices after `figures_since`. `volume_24h` is in units of the base asset:
    the sum of the 24-hour volumes that the sources of the price report; None if the price has no sources.
    """

    change_24h: Decimal | None
    change_24h_percent: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    volume_24h: Decimal | None
    figures_since: float
    figures_reason: MissingFigures | None


class Window(msgspec.Struct, frozen=True):
    """The price that was current at `since`, and the highest and the lowest price after it."""

    since: float
    reference: Decimal
    high: Decimal
    low: Decimal


def window_start(now: float, bucket: float = BUCKET) -> float:
    """Return the start of the window at `now`: the last multiple of `bucket` that is at least a day ago."""
    day_ago = now - DAY
    return day_ago - day_ago % bucket


def figures(price: Price, window: Window | MissingFigures, since: float) -> Figures:
    """Return the figures at `price`, which counts as the newest of the window, or the volume and why there are none.

    `since` is the start of the window.
    """
    volumes = [source.volume for source in price.sources]
    volume = sum(volumes, Decimal(0)) if volumes else None
    if isinstance(window, MissingFigures):
        return Figures(None, None, None, None, volume, since, window)
    change = price.price - window.reference
    percent = _PERCENT.divide(100 * change, window.reference)
    high, low = max(window.high, price.price), min(window.low, price.price)
    return Figures(change, percent, high, low, volume, since, None)


class PriceDay:
    """The prices of one asset over the last day: at most 291 buckets of 32 bytes, or fewer that are longer.

    A bucket lasts `bucket` seconds, a divisor of a day. It has the highest, the lowest and the last price, and the time
    of the last one. Numbers are kept as binary floating point, which is exact for prices of at most 15 significant
    digits. Ours have ten.
    """

    __slots__ = ("_bucket", "_highs", "_lasts", "_lows", "_times", "_window")

    def __init__(self, bucket: float = BUCKET) -> None:
        self._bucket = bucket
        self._times = array("d")  # of the last price of each bucket, in order
        self._highs = array("d")
        self._lows = array("d")
        self._lasts = array("d")
        self._window: Window | None = None  # of the last call of `window`, until a price changes it

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self._times)

    @property
    def newest(self) -> float:
        """The time of the newest price; minus infinity without any."""
        return self._times[-1] if self._times else -math.inf

    def add(self, timestamp: float, price: Decimal) -> None:
        """Add a price. The order of the calls does not matter, and neither does adding a price again.

        A price that is not above zero, which a store may have from another writer, is ignored. Of two prices with the
        same timestamp, the first counts as the last of its bucket.
        """
        place, is_new = self._place(timestamp)
        if is_new or timestamp != self._times[place]:
            value = float(price)
            self.merge(timestamp, value, value, value)

    def merge(self, timestamp: float, high: float, low: float, last: float) -> None:
        """Add prices of one bucket at once: the highest, the lowest, and the last with its time."""
        if not 0 < low <= high < math.inf:
            return
        place, is_new = self._place(timestamp)
        if is_new:
            self._insert(place, timestamp, high, low, last)
        else:
            self._highs[place] = max(self._highs[place], high)
            self._lows[place] = min(self._lows[place], low)
            if timestamp > self._times[place]:
                self._times[place], self._lasts[place] = timestamp, last
        window = self._window
        if window is not None and not (timestamp > window.since and window.low <= low and high <= window.high):
            self._window = None

    def window(self, now: float) -> Window | None:
        """Return the window at `now`; None without a price at its start or before, or without one in it.

        After a clock was set back, buckets with a price more than FUTURE_TOLERANCE ahead of `now` do not count.
        """
        since = window_start(now, self._bucket)
        if self.newest > now + FUTURE_TOLERANCE:
            return self._computed(since, bisect_right(self._times, now + FUTURE_TOLERANCE))
        if self._window is None or self._window.since != since:
            self._window = self._computed(since, len(self._times))
        return self._window

    def sparkline(self, now: float, most: int) -> list[tuple[float, float]]:
        """Return about `most` known prices of the window with their times, oldest first: the last of each step.

        The first is the price that was current where the window begins, if that is known.
        """
        since, latest = window_start(now, self._bucket), now + FUTURE_TOLERANCE
        place = bisect_right(self._times, since)
        end = bisect_right(self._times, latest)
        points = [(since, self._lasts[place - 1])] if place else []
        if place == end:
            return points
        start = since if points else self._times[place]
        step = math.ceil((latest - start) / most / self._bucket) * self._bucket
        at = start - start % step
        while place < end:
            at += step
            last = min(end, bisect_right(self._times, at))
            if last > place:
                place = last
                points.append((self._times[place - 1], self._lasts[place - 1]))
        return points

    def _computed(self, since: float, end: int) -> Window | None:
        first = bisect_right(self._times, since)
        if not 0 < first < end:
            return None
        high, low = max(self._highs[first:end]), min(self._lows[first:end])
        return Window(since, _exact(self._lasts[first - 1]), _exact(high), _exact(low))

    def _place(self, timestamp: float) -> tuple[int, bool]:
        """Return the place of the bucket with this time, and whether there is none yet."""
        beyond = timestamp % self._bucket
        end = timestamp - beyond + (self._bucket if beyond else 0)
        place = bisect_right(self._times, end - self._bucket)
        return place, place == len(self._times) or self._times[place] > end

    def _insert(self, place: int, timestamp: float, high: float, low: float, last: float) -> None:
        for column, value in zip(self._columns(), (timestamp, high, low, last), strict=True):
            column.insert(place, value)
        # One bucket more than the window of the newest price has, because a reader's clock may be a little behind.
        unneeded = bisect_right(self._times, window_start(self.newest, self._bucket) - self._bucket) - 1
        if unneeded > 0:
            for column in self._columns():
                del column[:unneeded]

    def _columns(self) -> Sequence["array[float]"]:
        return (self._times, self._highs, self._lows, self._lasts)


def _exact(value: float) -> Decimal:
    """Return the price that `value` was made of, which has up to 15 significant digits."""
    return Decimal(f"{value:.15g}")
