"""Counts what pricing makes of each exchange's tickers, over the last five minutes. Pure: `now` is an argument.

The counts are in buckets of ten seconds, so that the memory is bounded: the window is the bucket of `now` and the 29
before it, 290 to 300 seconds. Every outcome is counted. Prices are compared with ours at most once a second for each
asset: a feed that pushes an asset twenty times a second then weighs no more, and its prices cost little.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from aggregator.models import NoPrice, Price, Reason, Tier, VenueWindow

BUCKETS = 30
BUCKET_SECONDS = 10.0
SAMPLE_SECONDS = 1.0  # between two comparisons of an asset
WINDOW_SECONDS = BUCKETS * BUCKET_SECONDS

_SOUND = frozenset({Reason.OUTLIER, Reason.DISAGREEMENT, Reason.TOO_FEW})  # a young ticker with a possible price


class Quote(msgspec.Struct, gc=False, frozen=True):
    """An exchange's price of an asset, and (its price - our price) / our price; None where we have no price."""

    exchange: str
    price: float
    distance: float | None


class Sample(msgspec.Struct, frozen=True):
    """The outcome of an asset that was compared last, and when, in seconds of the clock of `record`."""

    outcome: Price | NoPrice
    at: float


class VenueFigures:
    """The counts of each exchange, and the last sample of each asset that was priced as a hot one."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._sampled_at: dict[str, float] = {}  # by asset
        self._hot: dict[str, Sample] = {}

    def record(
        self, outcomes: Iterable[Price | NoPrice], now: float, news: Mapping[str, AbstractSet[str]] | None = None
    ) -> None:
        """Count outcomes. `now`: monotonic seconds.

        `news` has by symbol the exchanges whose answers have not been counted before; None means all.
        """
        bucket = self._bucket(now)
        used, left_out = bucket.used, bucket.left_out
        sampled_at, latest = self._sampled_at, now - SAMPLE_SECONDS
        for outcome in outcomes:
            counted = None if news is None else news[outcome.asset]
            if isinstance(outcome, Price):
                for source in outcome.sources:
                    if counted is None or source.exchange in counted:
                        used[source.exchange] += 1
            for one in outcome.left_out:
                if one.reason is not Reason.NOT_LISTED and (counted is None or one.exchange in counted):
                    left_out[one.exchange, one.reason] += 1
            if sampled_at.get(outcome.asset, -math.inf) <= latest:
                sampled_at[outcome.asset] = now
                self._sample(outcome, now, bucket)

    def of(self, exchange: str, now: float) -> VenueWindow:
        """Return the counts of an exchange over the window that ends at `now`."""
        oldest = _number(now) - BUCKETS + 1
        buckets = [bucket for bucket in self._buckets if bucket.number >= oldest]
        left_out: defaultdict[str, int] = defaultdict(int)
        for bucket in buckets:
            for (name, reason), count in bucket.left_out.items():
                if name == exchange:
                    left_out[reason.value] += count
        distances = [bucket.distances[exchange] for bucket in buckets if exchange in bucket.distances]
        return VenueWindow(
            used=sum(bucket.used.get(exchange, 0) for bucket in buckets),
            left_out=dict(left_out),
            compared=sum(one.compared for one in distances),
            distance=sum(one.signed for one in distances),
            absolute_distance=sum(one.absolute for one in distances),
        )

    def hot(self) -> list[tuple[str, Sample]]:
        """Return the last sample of each asset that was priced as a hot one."""
        return list(self._hot.items())

    def forget(self, symbol: str) -> None:
        """Drop the sample of an asset that is not hot any more."""
        self._hot.pop(symbol, None)

    def _bucket(self, now: float) -> "_Bucket":
        number = _number(now)
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]

    def _sample(self, outcome: Price | NoPrice, now: float, bucket: "_Bucket") -> None:
        if isinstance(outcome, NoPrice):
            if outcome.asset in self._hot:
                self._hot[outcome.asset] = Sample(outcome, now)
            return
        if outcome.tier is Tier.HOT:
            self._hot[outcome.asset] = Sample(outcome, now)
        ours = float(outcome.price)
        for source in outcome.sources:
            bucket.distances[source.exchange].add(float(source.price) / ours - 1)
        for one in outcome.left_out:
            if one.price is not None and one.reason in _SOUND:
                bucket.distances[one.exchange].add(float(one.price) / ours - 1)


class _Bucket:
    """The counts of ten seconds."""

    __slots__ = ("distances", "left_out", "number", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        self.used: defaultdict[str, int] = defaultdict(int)
        self.left_out: defaultdict[tuple[str, Reason], int] = defaultdict(int)
        self.distances: defaultdict[str, _Distances] = defaultdict(_Distances)


class _Distances:
    """Sums of the distances of one exchange."""

    __slots__ = ("absolute", "compared", "signed")

    def __init__(self) -> None:
        self.compared = 0
        self.signed = self.absolute = 0.0

    def add(self, distance: float) -> None:
        """Add a distance."""
        self.compared += 1
        self.signed += distance
        self.absolute += abs(distance)


def quotes(outcome: Price | NoPrice) -> list[Quote]:
    """Return the price of each exchange that has a young ticker, also of those whose ticker does not count."""
    sound = [(one.exchange, one.price) for one in outcome.left_out if one.price is not None and one.reason in _SOUND]
    if isinstance(outcome, NoPrice):
        return [Quote(exchange, float(price), None) for exchange, price in sound]
    ours = float(outcome.price)
    sound += [(source.exchange, source.price) for source in outcome.sources]
    return [Quote(exchange, float(price), float(price) / ours - 1) for exchange, price in sound]


def _number(now: float) -> int:
    """Return the number of the bucket of a time."""
    return int(now // BUCKET_SECONDS)
