"""The plants of the market: unusual events at known times, so that what looks for such events can be checked.

Pure: no clock and no I/O. The plants depend on seed, listed pairs, rate and time alone, so that all venues of a market
have the same ones. Times are unix seconds on the venue's clock. There are five kinds:

- `spike`: for a second, large orders at one of VENUES trade at prices that are off by 1 to 1.6 %, with about 20 times
  the mean volume; tickers are not off. A spike stays below the 2 % at which the paper strategy buys, so that a wrong
  price of one venue opens no position.
- `volume_burst`: for 5 s, trades at all venues have 15 to 30 times the volume.
- `rate_burst`: for 10 s, trades arrive ten times as often at all venues.
- `drop`: the asset falls by 3 % within 50 s, rises by 7 % within 150 s, and returns within 300 s, in trades and tickers
  of all its pairs at all venues, as a smooth line. Its momentum over 60 s falls below -2 %, and the later peak is more
  than 5 % above the price at that time.
- `headline`: an article, with a volume burst of its own that begins up to 45 s before or after.

Each kind has a period, and one plant in each period. Its assets take turns, so that two plants of a kind never overlap
in one asset.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from .market import CALM, CURRENCIES, Pair, draws

VENUES = ("exchange1", "exchange2", "exchange3")  # those that have spikes; the names in the demo
MOST_RATE = 10.0

SPIKE_LEAST, SPIKE_MOST = 0.010, 0.016  # log price
SPIKE_VOLUME = 20.0  # factor of the mean
VOLUME_LEAST, VOLUME_MOST = 15.0, 30.0  # factors
RATE_FACTOR = 10.0
FALL, RISE, RETURN = 50.0, 150.0, 300.0  # seconds of the three parts of a drop
DEPTH, PEAK = 0.032, 0.043  # log price below and above the usual one
AROUND_HEADLINE = 45.0  # most seconds between a headline and the begin of its volume burst
MOST_KEPT = 1024  # plants in memory


class Kind(NamedTuple):
    """A kind of plants: seconds between two of them at a rate of 1, their length, and how many assets take turns."""

    name: str
    every: float
    seconds: float
    assets: int


# An anomaly model learns from the last 1,000 trades. Plants of one asset are further apart than these trades take.
SPIKE = Kind("spike", 40, 1, 4)
VOLUME_BURST = Kind("volume_burst", 50, 5, 6)
RATE_BURST = Kind("rate_burst", 75, 10, 8)
DROP = Kind("drop", 100, FALL + RISE + RETURN, 11)
HEADLINE = Kind("headline", 45, 0, 17)
KINDS = (SPIKE, VOLUME_BURST, RATE_BURST, DROP, HEADLINE)
ROWS = 20  # of symbols.csv that have plants; the service takes the trades of as many, its hot assets
FIRST_DROP = 6  # the pairs of the first rows have no drops: they have the spikes and the volume bursts
LONGEST = DROP.seconds


class Plant(NamedTuple):
    """A planted event of the pair `asset` in [start, end); a headline has `end` = `start`, its time of publication.

    `size` is the log price that a spike adds, the factor of a burst, the log price that a drop falls by (negative), and
    1 or -1 for a good or a bad headline. `venue` is None for all venues. `symbols` are all affected pairs.
    """

    kind: str
    asset: str
    start: float
    end: float
    size: float
    venue: str | None
    symbols: tuple[str, ...]

    def covers(self, t: float) -> bool:
        """Return whether it is under way."""
        return self.start <= t < self.end


class Plants:
    """The plants of a market of `pairs`, most traded first. `rate` is 0 for none, 1 for the periods of KINDS."""

    def __init__(self, seed: int, pairs: Sequence[Pair], rate: float) -> None:
        self.rate = rate
        self._seed = seed
        self._pairs = pairs
        self._turns = {kind: turns for kind, turns in _turns(pairs).items() if turns and rate > 0}
        self._made = lru_cache(MOST_KEPT)(self._make)

    def between(self, start: float, end: float) -> list[Plant]:
        """Return the plants that overlap [start, end), or are headlines of it, by their start."""
        found = [
            plant
            for kind in self._turns
            for number in self._numbers(kind, start, end)
            for plant in self._made(kind, number)
            if plant.start < end and (plant.end > start or plant.start >= start)
        ]
        return sorted(found, key=lambda plant: plant.start)

    def trading(self, start: float, end: float) -> dict[str, list[Plant]]:
        """Return the plants of [start, end) that change trades, by pair. Drops are in the market's prices."""
        found: dict[str, list[Plant]] = {}
        for kind in self._turns:
            for number in self._numbers(kind, start, end) if kind is not DROP else ():
                for plant in self._made(kind, number):
                    if plant.start < end and plant.end > start and plant.kind != HEADLINE.name:
                        found.setdefault(plant.asset, []).append(plant)
        return found

    def moves(self) -> Mapping[str, Callable[[float], float]]:
        """Return the log price that drops add at a time, by asset (not pair); assets without drops are not there."""
        turns = self._turns.get(DROP, ())
        return {pair.base: partial(self._move, place) for place, pair in enumerate(turns)}

    def _move(self, place: int, t: float) -> float:
        """Return the log price that drops add to the asset with this place among those that take turns."""
        number = math.floor(t / self._period(DROP))
        (drop,) = self._made(DROP, number - (number - place) % len(self._turns[DROP]))
        return drop_at(t - drop.start, drop.size)

    def _period(self, kind: Kind) -> float:
        """Return the seconds between two plants: few assets have fewer, so that none overlap in one asset."""
        return max(kind.every / self.rate, kind.seconds / (len(self._turns[kind]) - 0.5))

    def _numbers(self, kind: Kind, start: float, end: float) -> range:
        """Return the numbers of the periods whose plants can overlap [start, end)."""
        period = self._period(kind)
        reach = period / 2 + kind.seconds
        if kind is HEADLINE:
            start, end = start - AROUND_HEADLINE - VOLUME_BURST.seconds, end + AROUND_HEADLINE
        return range(math.floor((start - reach) / period), math.floor(end / period) + 1)

    def _make(self, kind: Kind, number: int) -> tuple[Plant, ...]:
        """Return the plant of a period; it begins in the first half. A headline comes with its volume burst."""
        draw = draws(self._seed, "plants", kind.name, number)
        pair = self._turns[kind][number % len(self._turns[kind])]
        start = round((number + draw.uniform(0.0, 0.5)) * self._period(kind), 3)
        sign, more = draw.choice((-1.0, 1.0)), draw.uniform(0.0, 1.0)
        plant = Plant(kind.name, pair.symbol, start, start + kind.seconds, RATE_FACTOR, None, (pair.symbol,))
        volume = VOLUME_LEAST + more * (VOLUME_MOST - VOLUME_LEAST)
        if kind is SPIKE:
            size = SPIKE_LEAST + more * (SPIKE_MOST - SPIKE_LEAST)
            return (plant._replace(size=sign * size, venue=draw.choice(VENUES)),)
        if kind is VOLUME_BURST:
            return (plant._replace(size=volume),)
        if kind is DROP:
            return (plant._replace(size=-DEPTH, symbols=self._symbols_of(pair.base)),)
        if kind is HEADLINE:
            begin = round(start + draw.uniform(-AROUND_HEADLINE, AROUND_HEADLINE), 3)
            end = begin + VOLUME_BURST.seconds
            burst = plant._replace(kind=VOLUME_BURST.name, start=begin, end=end, size=volume)
            return plant._replace(size=sign), burst
        return (plant,)

    def _symbols_of(self, base: str) -> tuple[str, ...]:
        return tuple(pair.symbol for pair in self._pairs if pair.base == base)


def drop_at(seconds: float, depth: float) -> float:
    """Return the log price that a drop adds `seconds` after its start: 0, `depth`, PEAK, and 0 again, without edges."""
    if seconds < 0 or seconds >= LONGEST:
        return 0.0
    if seconds < FALL:
        return _between(0.0, depth, seconds / FALL)
    if seconds < FALL + RISE:
        return _between(depth, PEAK, (seconds - FALL) / RISE)
    return _between(PEAK, 0.0, (seconds - FALL - RISE) / RETURN)


def _between(first: float, last: float, share: float) -> float:
    """Return the value at a share of the way, as half a period of a cosine."""
    return first + (last - first) * (1 - math.cos(math.pi * share)) / 2


def _turns(pairs: Sequence[Pair]) -> dict[Kind, list[Pair]]:
    """Return the pairs that take turns for each kind.

    They are the pairs of the first ROWS against a dollar coin, one of each asset. Assets that others are quoted in have
    no drops, because the prices of those would rise.
    """
    first: dict[str, Pair] = {}
    for pair in pairs[:ROWS]:
        if pair.base not in CALM and pair.quote in CALM and pair.quote not in CURRENCIES:
            first.setdefault(pair.base, pair)
    usual = list(first.values())
    quotes = {pair.quote for pair in pairs}
    turns = {kind: usual[: kind.assets] for kind in KINDS}
    falling = [pair for pair in usual[FIRST_DROP:] or usual if pair.base not in quotes]
    return turns | {DROP: falling[: DROP.assets]}
