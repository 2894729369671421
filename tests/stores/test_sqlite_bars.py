"""The bars in a SQLite file are those of all its prices: late ones, those of another process, and of an older file."""

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from aggregator.models import Price
from aggregator.prices.bars import Bars, BarSource, bars_of
from aggregator.prices.candles import INTERVALS
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed

DAY = 86_400


class Kept:
    """SQLite histories on one file with one clock, and the prices that were written to them."""

    def __init__(self, path: Path, retention: float | None = None) -> None:
        self.now = NOW
        self.histories = [SqliteHistory(path, retention, lambda: self.now) for _ in range(2)]
        self.prices: dict[float, float] = {}

    async def open(self) -> "Kept":
        """Open both."""
        for history in self.histories:
            await history.open()
        return self

    async def close(self) -> None:
        """Close both."""
        for history in self.histories:
            await history.close()

    async def write(self, prices: Sequence[Price], history: int = 0) -> None:
        """Write prices with one of them; of two with the same time, the first stays."""
        await self.histories[history].write(prices)
        for one in prices:
            self.prices.setdefault(one.timestamp, float(one.price))

    def expected(self, seconds: int, start: int, end: int) -> Bars:
        """Return the bars of all prices."""
        return bars_of((one for one in sorted(self.prices.items()) if start <= one[0] < end), seconds)

    async def check(self, back: float = 2 * DAY) -> None:
        """Compare the bars of every interval, from either of them, with those of all prices."""
        for number, seconds in enumerate(INTERVALS.values()):
            start, end = int(self.now - back) // seconds * seconds, int(self.now + DAY) // seconds * seconds
            found = await self.histories[number % 2].bars("btcusdt", seconds, start, end)
            assert found == self.expected(seconds, start, end), seconds


@pytest.mark.parametrize("seed", range(5))
async def test_bars_are_those_of_all_prices(tmp_path: Path, seed: int) -> None:
    """While time passes, prices become bars, and others come late, twice, and from two processes."""
    chance = random.Random(seed)
    kept = await Kept(tmp_path / "prices.db").open()
    for _ in range(25):
        moments = [
            round(kept.now - chance.random() * chance.choice([5, 500, DAY]), 3) for _ in range(chance.randrange(20))
        ]
        prices = [price(timestamp=at, amount=str(Decimal(chance.randrange(1, 10**6)) / 100)) for at in moments]
        await kept.write(prices + prices[:2], chance.randrange(2))
        kept.now += chance.choice([1, 60, 700, 4000])
        if chance.random() < 0.5:
            history = kept.histories[chance.randrange(2)]
            for asset in await history.due_for_bars():
                await history.roll(asset)
        await kept.check()
    await kept.close()


async def test_more_prices_than_one_step_takes(tmp_path: Path) -> None:
    """A long history becomes bars in several transactions, also where one minute has more prices than a step."""
    kept = await Kept(tmp_path / "prices.db").open()
    burst = [price(timestamp=NOW - 9000 + number / 1000, amount=str(1 + number % 7)) for number in range(45_000)]
    await kept.write([*burst, *(price(timestamp=NOW - 8000 + number) for number in range(7000))])
    await kept.check()
    await kept.close()


async def test_a_file_of_an_earlier_version_gets_bars(tmp_path: Path) -> None:
    """Without bars, tables or trigger in it."""
    kept = await Kept(tmp_path / "prices.db").open()
    await kept.write([price(timestamp=NOW - number * 50) for number in range(1000)])
    await kept.close()
    with sqlite3.connect(tmp_path / "prices.db") as connection:
        for statement in ("DROP TRIGGER late_prices", "DROP TABLE bars", "DROP TABLE rolled"):
            connection.execute(statement)
    connection.close()
    again = await Kept(tmp_path / "prices.db").open()
    again.prices = kept.prices
    await again.check()
    await again.close()


async def test_expired_prices_take_their_bars_along(tmp_path: Path) -> None:
    """A bar stays until its whole interval is past the retention."""
    kept = await Kept(tmp_path / "prices.db", retention=DAY).open()
    await kept.write([price(timestamp=NOW - hours * 3600) for hours in range(40)])
    kept.now += 700
    await kept.check(5 * DAY)
    await kept.histories[0].expire()
    start = int(NOW - 5 * DAY) // 60 * 60
    found = await kept.histories[0].bars("btcusdt", 60, start, int(NOW) + 3600)
    assert found == kept.expected(60, int(kept.now - DAY - 60), int(NOW) + 3600)
    assert len(found) == 24
    await kept.close()


async def test_sqlite_keeps_bars(sqlite: SqliteHistory) -> None:
    """So charts are not computed from its prices."""
    assert isinstance(sqlite, BarSource)


async def test_a_row_that_is_no_price_stops_nothing_else(tmp_path: Path) -> None:
    """The bars of the other assets are made, and the journal is moved into the file, whose size grows."""
    path = tmp_path / "prices.db"
    history = SqliteHistory(path, now=lambda: NOW)
    await history.open()
    await history.write([price("btcusdt", NOW - DAY + second) for second in range(1000)])
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO prices VALUES ('aave', ?, ?, 'no JSON')", (NOW - DAY, NOW - DAY))
    connection.close()
    empty = path.stat().st_size
    running = asyncio.create_task(history.run())
    async with asyncio.timeout(allowed(10)):
        while await history.due_for_bars() != ["aave"] or path.stat().st_size == empty:
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await history.close()
