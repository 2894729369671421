"""One seeded market that every venue quotes: pure arithmetic, no clock and no I/O.

The price of each asset in US dollars is level * exp(a sum of slow and fast sines), its path; drops (see `plants`) are
added to the sum. The price of a pair is the quotient of two paths, so that cross rates agree. A venue adds a small
offset and a volume of its own to each pair.
Times `t` are unix seconds. Every function returns the same for the same arguments, in any process.
"""

import hashlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
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
# Coins pegged to the dollar, and the currencies of countries, move far less than other coins. The dollar is the unit.
PEGGED = ("usdt", "usdc", "fdusd", "tusd", "dai", "usdp", "usde", "usd1", "xusd")
CURRENCIES = ("eur", "gbp", "try", "brl", "jpy", "aud", "cad", "chf", "mxn", "ars", "pln", "ron", "uah", "zar", "euri")
CALM: Mapping[str, float] = {"usd": 0.0} | dict.fromkeys(PEGGED, 0.01) | dict.fromkeys(CURRENCIES, 0.1)

STANDING_OFFSET = 0.0004  # largest permanent offset of a venue's price (log price)
MOVING_OFFSET = 0.0003  # largest offset that varies within about a minute (log price)
TOP_TURNOVER = 2e9  # US dollars a day of the first pair at one venue; row n has about 1/n of it
PRICE_DIGITS, VOLUME_DIGITS = 7, 9  # significant; JSON numbers of at most 10 digits


class Pair(NamedTuple):
    """A traded pair: `symbol` is base + quote in lower case, `rank` its row in symbols.csv from 0 (0 = most traded)."""

    symbol: str
    base: str
    quote: str
    rank: int


class Quote(NamedTuple):
    """A venue's quote of a pair: price in units of the quote, volume in units of the base, both > 0."""

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
    move: Callable[[float], float] | None = None  # log price that drops add

    def at(self, t: float) -> float:
        log = 0.0 if self.move is None else self.move(t)
        for size, speed, phase in self.waves:
            log += size * math.sin(speed * t + phase)
        return self.level * math.exp(log)


class _Listing(NamedTuple):
    """One pair at one venue: its paths, and the offset and volume of the venue."""

    base: _Path
    quote: _Path
    factor: float  # standing offset
    offset: _Wave  # log price
    volume: float  # base units
    swell: _Wave  # log volume


def number(value: float, digits: int) -> Decimal:
    """Return the value rounded to `digits` significant digits."""
    return Decimal(f"{value:.{digits - 1}e}")


def to_millisecond(t: float) -> float:
    """Return the time rounded to milliseconds, as a ticker shows it; the price is computed for the rounded time."""
    return round(t, 3)


def draws(*key: object) -> random.Random:
    """Return a random generator seeded by the key alone, equal in every process (hash() is not)."""
    text = "/".join(map(str, key))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))  # noqa: S311 - prices, not keys


def _wave(draw: random.Random, shortest: float, longest: float, size: float) -> _Wave:
    return _Wave(size * draw.uniform(0.5, 1.0), TAU / draw.uniform(shortest, longest), draw.uniform(0.0, TAU))


class Market:
    """Prices of `pairs`; equal seeds give equal prices.

    `levels` are US dollars per asset, > 0. The level of an asset without one derives from its name: 0.01 to 10. `moves`
    return the log price to add to an asset's path at a time.
    """

    def __init__(
        self,
        seed: int,
        pairs: Iterable[Pair],
        levels: Mapping[str, float],
        moves: Mapping[str, Callable[[float], float]] = MappingProxyType({}),
    ) -> None:
        self._seed = seed
        self._pairs = {pair.symbol: pair for pair in pairs}
        self._levels = levels
        self._moves = moves
        self._paths: dict[str, _Path] = {}
        self._listings: dict[tuple[str, str], _Listing] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._pairs

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs.values())

    def __len__(self) -> int:
        return len(self._pairs)

    def usd(self, asset: str, t: float) -> float:
        """Return the price of one asset in US dollars, listed or not."""
        return self._path(asset).at(t)

    def price(self, symbol: str, t: float) -> float:
        """Return the price without a venue's offset, in units of the quote. Raises KeyError if it is not listed."""
        pair = self._pairs[symbol]
        return self.usd(pair.base, t) / self.usd(pair.quote, t)

    def venue_ticker(self, venue: str, symbol: str, t: float) -> Quote:
        """Return the exact quote of a venue at `t`, rounded to the millisecond. Raises KeyError if it is not listed."""
        price, volume = self.venue_figures(venue, symbol, to_millisecond(t))
        return Quote(number(price, PRICE_DIGITS), number(volume, VOLUME_DIGITS))

    def venue_figures(self, venue: str, symbol: str, t: float) -> tuple[float, float]:
        """Return price and volume of a venue's quote at `t`, neither rounded. Raises KeyError if it is not listed."""
        base, quote, factor, offset, volume, swell = self._listing(venue, symbol)
        return base.at(t) / quote.at(t) * factor * math.exp(offset.at(t)), volume * math.exp(swell.at(t))

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
        return _Path(self._levels.get(asset, invented), waves, self._moves.get(asset))

    def _listing(self, venue: str, symbol: str) -> _Listing:
        listing = self._listings.get((venue, symbol))
        if listing is None:
            listing = self._listings[venue, symbol] = self._draw_listing(venue, self._pairs[symbol])
        return listing

    def _draw_listing(self, venue: str, pair: Pair) -> _Listing:
        draw = draws(self._seed, venue, pair.symbol)
        base = self._path(pair.base)
        return _Listing(
            base=base,
            quote=self._path(pair.quote),
            factor=math.exp(draw.uniform(-STANDING_OFFSET, STANDING_OFFSET)),
            offset=_wave(draw, 40, 120, MOVING_OFFSET),
            volume=TOP_TURNOVER / (pair.rank + 1) / base.level * draw.uniform(0.5, 1.5),
            swell=_wave(draw, 3_600, 6 * 3_600, 0.1),
        )
