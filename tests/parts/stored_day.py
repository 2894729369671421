"""A SQLite history that already has prices of the last 24 hours, for services that start on it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aggregator.models import Price
from aggregator.prices.day_figures import DAY
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import price

REFERENCE, HIGH, LOW = "70000.5", "1234567.5", "1.25"  # current 24 hours ago, and the extremes after that


def write_day(folder: Path, asset: str = "btcusdt") -> None:
    """Store three prices of `asset` in `folder`/prices.db, where a `Service` in that folder keeps its history.

    In a thread: Playwright's loop occupies that of the test.
    """
    now = time.time()
    points = ((now - DAY - 1000, REFERENCE), (now - DAY / 2, HIGH), (now - DAY / 3, LOW))
    with ThreadPoolExecutor(1) as thread:
        prices = [price(asset, at, amount) for at, amount in points]
        thread.submit(asyncio.run, _write(folder / "prices.db", prices)).result()


async def _write(path: Path, prices: Sequence[Price]) -> None:
    history = SqliteHistory(path)
    await history.open()
    await history.write(prices)
    await history.close()
