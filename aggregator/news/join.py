"""The join of articles with trades of unusual volume. Pure; the same result whichever comes first.

An article about an asset and a trade of that asset belong together if at most 60 s lie between the publication and the
trade, compared in microseconds. All times are unix seconds.
"""

from bisect import bisect_left

import msgspec

from aggregator.news.articles import STRENGTHS, SentimentItem, Strength

SPIKE, HIGH_SPIKE = 2.0, 3.0  # z-scores of a volume
WINDOW = 60.0  # seconds
KEPT = 3600.0  # seconds of event time for which spikes and articles are kept
MOST_ARTICLES = 50  # of one asset
_STRONG, _MODERATE = 0.5, 0.2  # of the sentiment, without its sign


def strength_of(sentiment: float, zscore: float) -> Strength:
    """Return the strength of an article and a trade that belong together; `none` if its volume is not unusual."""
    if zscore < SPIKE:
        return "none"
    if abs(sentiment) >= _STRONG and zscore >= HIGH_SPIKE:
        return "strong"
    return "moderate" if abs(sentiment) >= _MODERATE else "weak"


def stronger(one: SentimentItem, strength: Strength) -> SentimentItem:
    """Return the item with a strength, if that is more than its own; else the same item."""
    if STRENGTHS.index(strength) <= STRENGTHS.index(one.correlation_strength):
        return one
    return msgspec.structs.replace(one, correlation_strength=strength)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


_REACH, _KEPT = _microseconds(WINDOW), _microseconds(KEPT)


class Spans:
    """Times, of which only the spans are kept without a gap of more than two windows: enough to say what is near.

    A span takes the place of any number of times, so an hour of them has at most 30 spans. Times are microseconds.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, time: int) -> None:
        """Add a time, and drop the spans that ended KEPT before the last one."""
        starts, ends = self._starts, self._ends
        if ends and starts[-1] <= time <= ends[-1] + 2 * _REACH:  # as nearly always
            ends[-1] = max(ends[-1], time)
            return
        first = bisect_left(ends, time - 2 * _REACH)  # the first span that it can belong to
        last = first
        start = end = time
        while last < len(starts) and starts[last] <= time + 2 * _REACH:
            start, end = min(start, starts[last]), max(end, ends[last])
            last += 1
        starts[first:last], ends[first:last] = [start], [end]
        if ends[0] < ends[-1] - _KEPT:
            gone = bisect_left(ends, ends[-1] - _KEPT)
            del starts[:gone], ends[:gone]

    def is_near(self, time: int) -> bool:
        """Whether one of the times is within WINDOW."""
        place = bisect_left(self._ends, time - _REACH)
        return place < len(self._starts) and self._starts[place] <= time + _REACH


class _AssetJoin:
    """The spikes of one asset, and the articles whose strength can rise."""

    __slots__ = ("high", "items", "spikes")

    def __init__(self) -> None:
        self.spikes, self.high = Spans(), Spans()
        self.items: dict[str, tuple[int, SentimentItem]] = {}  # by id; with the time of publication in microseconds

    def strength(self, item: SentimentItem, time: int) -> Strength:
        """Return the greatest strength of the item, published at a time, and a known spike."""
        if self.high.is_near(time):
            return strength_of(item.sentiment, HIGH_SPIKE)
        return strength_of(item.sentiment, SPIKE) if self.spikes.is_near(time) else "none"


class Join:
    """Spikes and articles of the last hour by asset, at most MOST_ARTICLES each."""

    def __init__(self) -> None:
        self._assets: dict[str, _AssetJoin] = {}

    def add(self, item: SentimentItem) -> SentimentItem:
        """Take an article; return it with the strength that known spikes give it, if that is more than its own."""
        known, time = self._of(item.asset), _microseconds(item.published_at)
        item = stronger(item, known.strength(item, time))
        known.items.pop(item.id, None)
        if _can_rise(item):
            known.items[item.id] = time, item
        if len(known.items) > MOST_ARTICLES:
            del known.items[min(known.items.values(), key=_age)[1].id]
        return item

    def spike(self, asset: str, time: float, zscore: float) -> list[SentimentItem]:
        """Take a trade of unusual volume; return the articles whose strength rises."""
        known, at, raised = self._of(asset), _microseconds(time), []
        known.spikes.add(at)
        if zscore >= HIGH_SPIKE:
            known.high.add(at)
        for published, item in [*known.items.values()]:
            if at - published > _KEPT:
                del known.items[item.id]
            elif -_REACH <= at - published <= _REACH:
                risen = stronger(item, strength_of(item.sentiment, zscore))
                if risen is not item:
                    known.items[item.id] = published, risen
                    raised.append(risen)
                if not _can_rise(risen):
                    del known.items[item.id]
        return raised

    def forget(self, asset: str) -> None:
        """Forget the spikes and articles of an asset."""
        self._assets.pop(asset, None)

    def _of(self, asset: str) -> _AssetJoin:
        known = self._assets.get(asset)
        if known is None:
            known = self._assets[asset] = _AssetJoin()
        return known


def _can_rise(item: SentimentItem) -> bool:
    """Whether a spike could make the item stronger than it is."""
    return item.correlation_strength != strength_of(item.sentiment, HIGH_SPIKE)


def _age(known: tuple[int, SentimentItem]) -> tuple[int, str]:
    return known[0], known[1].id
