"""The trades of one venue, from the same market as its tickers. Pure: no clock and no I/O.

Trades arrive as a Poisson process. A pair's share falls with its rank in symbols.csv as its turnover does, so that the
mean size of a trade in dollars is the same for all pairs, and the volumes of a day add up to about the 24-hour volume
of the ticker. Time is cut into blocks of 50 ms. The trades of a block depend on seed, venue, block and rate alone, so
that a run can be repeated, and a venue that starts anew makes the same trades. Plants change the trades of their pair,
and add some (see `plants`); the other trades stay as they are, but for their ids.
"""

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from .market import DAY, PRICE_DIGITS, Market, draws, number
from .plants import RATE_BURST, RATE_FACTOR, SPIKE, VOLUME_BURST, Plant, Plants

BLOCKS = 20  # a second
TRADES_PER_SECOND = 20.0  # of one venue, all pairs, outside of opens; with 1,000 pairs the first has 2.7 of them
MOST_PER_SECOND = 5_000.0  # whatever the settings and faults; a trade takes 17 to 32 us of CPU
OPEN_EVERY, OPEN_SECONDS, OPEN_FACTOR = 3600, 120, 3.0  # the first two minutes of each hour
MEAN_FACTOR = 1 + (OPEN_FACTOR - 1) * OPEN_SECONDS / OPEN_EVERY
IDS = 10_000  # ids of a block; it has 250 trades on average at the highest rate
MOST_BEHIND = 30 * BLOCKS  # blocks that are made up for after the process stood still

TICK = 0.00003  # typical distance of a trade from the venue's price (log price)
SPREAD_OF_VOLUMES = 1.3  # standard deviation of the log volume: a trade in a hundred has nine times the mean
VOLUME_DIGITS = 6  # significant
LEAST_ADDED = {
    SPIKE.name: 4.0,
    VOLUME_BURST.name: 1.0,
    RATE_BURST.name: 2.0,
}  # trades a second, so that a plant has some


class Trade(NamedTuple):
    """One execution: price in units of the quote, volume in units of the base, unix seconds.

    `id` grows from one trade of a venue to the next. `side` is the taker's: `buy` or `sell`.
    """

    id: int
    symbol: str
    price: Decimal
    volume: Decimal
    side: str
    timestamp: float

    def json(self, price: str | None = None) -> str:
        """Return `{"id":"…","symbol":…,"price":…,"volume":…,"side":…,"timestamp":…}`, the time with microseconds.

        A text stands in place of the price, unchanged, even if it is no number.
        """
        price = f"{self.price:f}" if price is None else price
        figures = f'"price":{price},"volume":{self.volume:f},"side":"{self.side}","timestamp":{self.timestamp:.6f}'
        return f'{{"id":"{self.id}","symbol":"{self.symbol}",{figures}}}'


class TradeMaker:
    """Makes the trades of one venue: `per_second` of them, all pairs together, outside of opens and plants."""

    def __init__(
        self,
        seed: int,
        venue: str,
        market: Market,
        per_second: float = TRADES_PER_SECOND,
        plants: Plants | None = None,
    ) -> None:
        self._seed = seed
        self._venue = venue
        self._market = market
        self._per_second = per_second
        self._plants = plants
        self._symbols = [pair.symbol for pair in market]
        self._places = {symbol: place for place, symbol in enumerate(self._symbols)}
        self._weights = [1 / (pair.rank + 1) for pair in market]
        self._bounds = list(itertools.accumulate(self._weights))
        self._per_day = per_second * MEAN_FACTOR * DAY / self._bounds[-1]  # trades of a pair of weight 1

    def made(self, block: int, factor: float, clock: Callable[[float], float]) -> list[Trade]:
        """Return the trades of the block that begins at block / BLOCKS unix seconds, oldest first.

        `factor` multiplies the rate. `clock` returns the venue's time for the true one; prices are those of its time.
        """
        start = block / BLOCKS
        rate = min(self._per_second * factor * open_factor(start), MOST_PER_SECOND)
        if rate <= 0:
            return []
        draw = draws(self._seed, self._venue, "trades", block)
        times = list(_arrivals(draw, start, rate))
        usual = [self._trade(block * IDS + index, self._place(draw), clock(t), draw) for index, t in enumerate(times)]
        return self._planted(block, rate, usual, clock) if self._plants is not None else usual

    def _planted(self, block: int, rate: float, usual: list[Trade], clock: Callable[[float], float]) -> list[Trade]:
        """Return the trades of the block with the effects of plants; ids follow the order of the times."""
        start = block / BLOCKS
        plants = self._plants.trading(clock(start), clock(start + 1 / BLOCKS)) if self._plants is not None else {}
        if not plants:
            return usual
        added = [
            trade
            for plant in itertools.chain.from_iterable(plants.values())
            for trade in self._added(plant, block, rate, clock)
        ]
        trades = [self._changed(trade, plants.get(trade.symbol, ())) for trade in usual + added]
        trades.sort(key=lambda trade: trade.timestamp)
        return [trade._replace(id=block * IDS + index) for index, trade in enumerate(trades)]

    def _added(self, plant: Plant, block: int, rate: float, clock: Callable[[float], float]) -> Iterator[Trade]:
        """Yield the trades that a plant adds; with the usual ones, at most MOST_PER_SECOND."""
        if plant.venue not in (None, self._venue):
            return
        place = self._places[plant.asset]
        more = (RATE_FACTOR - 1) * rate * self._weights[place] / self._bounds[-1] * (plant.kind == RATE_BURST.name)
        more = min(max(more, LEAST_ADDED[plant.kind]), MOST_PER_SECOND - rate)
        draw = draws(self._seed, self._venue, "planted", plant.kind, plant.start, block)
        for t in _arrivals(draw, block / BLOCKS, more) if more > 0 else ():
            if plant.covers(clock(t)):
                yield self._trade(0, place, clock(t), draw)

    def _changed(self, trade: Trade, plants: Iterable[Plant]) -> Trade:
        """Return a trade with the effects of the plants of its pair on price and volume."""
        for plant in plants:
            if not plant.covers(trade.timestamp):
                continue
            if plant.kind == SPIKE.name and plant.venue == self._venue:
                trade = trade._replace(price=number(float(trade.price) * math.exp(plant.size), PRICE_DIGITS))
            elif plant.kind == VOLUME_BURST.name:
                trade = trade._replace(volume=number(float(trade.volume) * plant.size, VOLUME_DIGITS))
        return trade

    def _place(self, draw: random.Random) -> int:
        """Return the place of a pair, drawn by the shares of the pairs."""
        return bisect.bisect_right(self._bounds, draw.random() * self._bounds[-1], hi=len(self._bounds) - 1)

    def _trade(self, number_of_trade: int, place: int, t: float, draw: random.Random) -> Trade:
        price, day_volume = self._market.venue_figures(self._venue, self._symbols[place], t)
        buys = draw.random() < 0.5  # noqa: PLR2004  # a half
        distance = abs(draw.gauss(0, TICK))
        size = draw.lognormvariate(-(SPREAD_OF_VOLUMES**2) / 2, SPREAD_OF_VOLUMES)  # its mean is 1
        return Trade(
            id=number_of_trade,
            symbol=self._symbols[place],
            price=number(price * math.exp(distance if buys else -distance), PRICE_DIGITS),
            volume=number(size * day_volume / (self._per_day * self._weights[place]), VOLUME_DIGITS),
            side="buy" if buys else "sell",
            timestamp=t,
        )


def block_at(t: float) -> int:
    """Return the block that a time is in."""
    return math.floor(t * BLOCKS)


def blocks_to_make(first: int, current: int) -> range:
    """Return the blocks that have ended, from `first` on; the `stop` of the range is the first of the next call.

    After a long pause only the last ones are made. Where the clock was set back by as much, blocks begin anew.
    """
    if current < first - MOST_BEHIND:
        return range(current, current)
    return range(max(first, current - MOST_BEHIND), max(first, current))


def open_factor(t: float) -> float:
    """Return by how much the rate is higher at `t` than outside of opens."""
    return OPEN_FACTOR if t % OPEN_EVERY < OPEN_SECONDS else 1.0


def _arrivals(draw: random.Random, start: float, rate: float) -> Iterator[float]:
    """Yield the times of a block. The gaps are exponential, and each block begins anew: they have no memory."""
    t = start + draw.expovariate(rate)
    while t < start + 1 / BLOCKS:
        yield t
        t += draw.expovariate(rate)
