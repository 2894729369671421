"""Bars from memory are those of all stored prices, and a price is rarely read twice."""

import asyncio
import random
from bisect import insort
from collections.abc import Sequence

import pytest

from aggregator.prices.bar_cache import BarCache
from aggregator.prices.bars import Bars, bars_of
from aggregator.prices.candles import INTERVALS
from tests.parts.examples import NOW

SETTLE = 600.0
DAY = 86_400


class Stored:
    """A history of one asset in memory, with a clock. `read` counts the prices that it returns."""

    def __init__(self) -> None:
        self.now = NOW
        self.prices: list[tuple[float, str]] = []
        self.prices_read = 0
        self.cache = BarCache(self.read, lambda _: SETTLE, lambda: self.now)

    async def read(self, _: str, start: float, end: float, limit: int) -> Sequence[tuple[float, float]]:
        """Return the first times and prices of the range."""
        await asyncio.sleep(0)
        found = [one for one in self.prices if start <= one[0] <= end][:limit]
        self.prices_read += len(found)
        return [(moment, float(amount)) for moment, amount in found]

    def add(self, moment: float, amount: str) -> None:
        """Store a price."""
        insort(self.prices, (moment, amount))

    def expected(self, seconds: int, start: int, end: int) -> Bars:
        """Return the bars of all stored prices."""
        return bars_of(((moment, float(amount)) for moment, amount in self.prices if start <= moment < end), seconds)

    async def check(self, seconds: int, back: float) -> None:
        """Compare the bars of the last `back` seconds, and of the next hour, with those of all prices."""
        start, end = int(self.now - back) // seconds * seconds, int(self.now + 3600) // seconds * seconds
        assert await self.cache.bars("btcusdt", seconds, start, end) == self.expected(seconds, start, end)


@pytest.mark.parametrize("seed", range(10))
async def test_bars_are_those_of_all_prices(seed: int) -> None:
    """For random prices, gaps, ranges and intervals, while time passes and prices come up to SETTLE late."""
    chance = random.Random(seed)
    stored = Stored()
    for _ in range(40):
        for _ in range(chance.randrange(8)):
            stored.add(round(stored.now - chance.random() * SETTLE * 0.9, 3), str(chance.randrange(1, 1000) / 100))
        stored.now += chance.choice([1, 30, 700, 5000, DAY])
        await stored.check(chance.choice(sorted(INTERVALS.values())), chance.choice([600, DAY, 40 * DAY]))


async def test_settled_prices_are_read_once() -> None:
    """A day of prices is read once for all intervals; later reads have the prices of the last minutes only."""
    stored = Stored()
    stored.prices = [(NOW - DAY + number * 10, "100") for number in range(8640)]
    await stored.check(60, DAY)
    assert 8640 <= stored.prices_read <= 8700
    for seconds in INTERVALS.values():
        stored.prices_read = 0
        stored.now += 2
        await stored.check(seconds, DAY)
        assert stored.prices_read < 150, seconds


async def test_a_price_that_comes_very_late_is_seen_in_the_end() -> None:
    """A block that was computed when it was d seconds old is computed again when it is 2 d seconds old."""
    stored = Stored()
    stored.add(NOW - DAY, "100")
    await stored.check(60, DAY)
    stored.add(NOW - DAY + 1, "200")
    stored.now += 0.9 * DAY
    start = int(NOW - DAY) // 60 * 60
    assert (await stored.cache.bars("btcusdt", 60, start, start + 60)).highs == [100.0]
    stored.now += 0.2 * DAY
    assert (await stored.cache.bars("btcusdt", 60, start, start + 60)).highs == [200.0]


async def test_reads_at_once_share_the_prices() -> None:
    """Twenty readers of one asset read its prices once."""
    stored = Stored()
    stored.prices = [(NOW - DAY + number * 60, "100") for number in range(1440)]
    await asyncio.gather(*(stored.check(60, DAY) for _ in range(20)))
    assert stored.prices_read < 1440 + 100


async def test_a_clock_that_goes_back_keeps_no_bars_of_the_future() -> None:
    """What was computed while the clock was a day ahead is computed again."""
    stored = Stored()
    stored.add(NOW - 7200, "100")
    stored.now += 10 * DAY
    await stored.check(60, 11 * DAY)
    stored.now = NOW
    stored.add(NOW - 7199, "200")
    await stored.check(60, DAY)


async def test_an_asset_without_prices_has_no_bars() -> None:
    """However long the range."""
    stored = Stored()
    await stored.check(DAY, 50 * 365 * DAY)
    assert stored.prices_read == 0
