"""One seeded market that every venue quotes: pure arithmetic, no clock and no I/O.

Each single asset follows a path of its own in US dollars, level * exp(a sum of slow and fast sines). A pair is the
quotient of two paths, so that crosses agree with each other. A venue adds a small offset and its own volume per pair.
Times `t` are unix seconds; every function gives the same answer for the same arguments, in any process.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

TAU = 2 * math.pi
DAY = 86_400.0

# Shortest period, longest period (seconds), largest size (log price): at most 3.6 % in all and 0.03 % per second.
BANDS = (
    (20, 45, 0.0003),
    (60, 180, 0.0008),
    (300, 1_200, 0.002),
    (3_600, 14_400, 0.006),
    (28_800, DAY, 0.012),
    (2 * DAY, 6 * DAY, 0.015),
)
# What is pegged to the dollar, or is a country's currency, moves far less than a coin. The dollar itself is the unit.
PEGGED = ("usdt", "usdc", "fdusd", "tusd", "dai", "usdp", "usde", "usd1", "xusd")
CURRENCIES = ("eur", "gbp", "try", "brl", "jpy", "aud", "cad", "chf", "mxn", "ars", "pln", "ron", "uah", "zar", "euri")
CALM: Mapping[str, float] = {"usd": 0.0} | dict.fromkeys(PEGGED, 0.01) | dict.fromkeys(CURRENCIES, 0.1)

STANDING_OFFSET = 0.0004  # a venue quotes a pair this much (log price) too high or too low for good, at most
MOVING_OFFSET = 0.0003  # and this much more or less over a minute or so
TOP_TURNOVER = 2e9  # US dollars a day of the first pair at one venue; the pair in row n has about 1/n of it
PRICE_DIGITS, VOLUME_DIGITS = 7, 9  # significant; JSON numbers of at most 10 digits


class Pair(NamedTuple):
    """A traded pair: `symbol` is base + quote in lower case, `rank` its row in symbols.csv from 0 (0 = most traded)."""

    symbol: str
    base: str
    quote: str
    rank: int


class Quote(NamedTuple):
    """What a venue says of a pair: price in units of the quote, volume in units of the base, both > 0."""

    price: Decimal
    volume: Decimal


class _Wave(NamedTuple):
    size: float
    speed: float  # radians per second
    phase: float

    def at(self, t: float) -> float:
        return self.size * math.sin(self.speed * t + self.phase)


class _Path(NamedTuple):
    level: float
    waves: tuple[_Wave, ...]

    def at(self, t: float) -> float:
        log = 0.0
        for size, speed, phase in self.waves:
            log += size * math.sin(speed * t + phase)
        return self.level * math.exp(log)


class _Stall(NamedTuple):
    """What one venue has of its own for one pair."""

    base: _Path
    quote: _Path
    factor: float  # standing offset
    offset: _Wave  # log price
    volume: float  # base units
    swell: _Wave  # log volume


def number(value: float, digits: int) -> Decimal:
    """Round to so many significant digits."""
    return Decimal(f"{value:.{digits - 1}e}")


def to_millisecond(t: float) -> float:
    """Round a time as a ticker gives it, which is the time its price is computed for."""
    return round(t, 3)


def draws(*key: object) -> random.Random:
    """Give random numbers that depend on the key alone, on every machine (hash() differs between processes)."""
    text = "/".join(map(str, key))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))  # noqa: S311 - prices, not keys


def _wave(draw: random.Random, shortest: float, longest: float, size: float) -> _Wave:
    return _Wave(size * draw.uniform(0.5, 1.0), TAU / draw.uniform(shortest, longest), draw.uniform(0.0, TAU))


class Market:
    """Prices of `pairs`, the same for the same seed.

    `levels` are US dollars per asset, > 0; an asset without one gets a level between 0.01 and 10 from its name.
    """

    def __init__(self, seed: int, pairs: Iterable[Pair], levels: Mapping[str, float]) -> None:
        self._seed = seed
        self._pairs = {pair.symbol: pair for pair in pairs}
        self._levels = levels
        self._paths: dict[str, _Path] = {}
        self._stalls: dict[tuple[str, str], _Stall] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._pairs

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs.values())

    def __len__(self) -> int:
        return len(self._pairs)

    def usd(self, asset: str, t: float) -> float:
        """Give the US dollars for one unit of any single asset, listed or not."""
        return self._path(asset).at(t)

    def price(self, symbol: str, t: float) -> float:
        """Give the price before any venue's offset, in units of the quote. Raises KeyError for a symbol not listed."""
        pair = self._pairs[symbol]
        return self.usd(pair.base, t) / self.usd(pair.quote, t)

    def venue_ticker(self, venue: str, symbol: str, t: float) -> Quote:
        """Give what a venue answers at `t`, digit by digit. Raises KeyError for a symbol that is not listed.

        The time is taken to the millisecond, as it stands in the answer.
        """
        base, quote, factor, offset, volume, swell = self._stall(venue, symbol)
        t = to_millisecond(t)
        price = base.at(t) / quote.at(t) * factor * math.exp(offset.at(t))
        return Quote(number(price, PRICE_DIGITS), number(volume * math.exp(swell.at(t)), VOLUME_DIGITS))

    def _path(self, asset: str) -> _Path:
        path = self._paths.get(asset)
        if path is None:
            path = self._paths[asset] = self._draw_path(asset)
        return path

    def _draw_path(self, asset: str) -> _Path:
        draw = draws(self._seed, asset)
        calm = CALM.get(asset, 1.0)
        waves = tuple(_wave(draw, shortest, longest, size * calm) for shortest, longest, size in BANDS)
        invented = math.exp(draw.uniform(math.log(0.01), math.log(10.0)))
        return _Path(self._levels.get(asset, invented), waves)

    def _stall(self, venue: str, symbol: str) -> _Stall:
        stall = self._stalls.get((venue, symbol))
        if stall is None:
            stall = self._stalls[venue, symbol] = self._draw_stall(venue, self._pairs[symbol])
        return stall

    def _draw_stall(self, venue: str, pair: Pair) -> _Stall:
        draw = draws(self._seed, venue, pair.symbol)
        base = self._path(pair.base)
        return _Stall(
            base=base,
            quote=self._path(pair.quote),
            factor=math.exp(draw.uniform(-STANDING_OFFSET, STANDING_OFFSET)),
            offset=_wave(draw, 40, 120, MOVING_OFFSET),
            volume=TOP_TURNOVER / (pair.rank + 1) / base.level * draw.uniform(0.5, 1.5),
            swell=_wave(draw, 3_600, 6 * 3_600, 0.1),
        )
