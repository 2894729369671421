"""A keeper of the 24-hour figures on a history, at times that tests set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aggregator.models import Price
from aggregator.ports import History
from aggregator.prices.day_figures import Figures, window_start
from aggregator.prices.figures_keeper import FiguresKeeper
from aggregator.prices.tiers import assign
from tests.parts.examples import CADENCE, NOW, price
from tests.parts.serving import until

SYMBOLS = ("cold", "btcusdt", "medium")
CATALOG = assign([("btcusdt", "", ""), ("medium", "", ""), ("cold", "", "")], 1, 1, CADENCE)
SINCE = window_start(NOW)


def stored(*points: tuple[float, object], asset: str = "btcusdt") -> list[Price]:
    """Return prices from (timestamp, amount) pairs."""
    return [price(asset, at, str(amount)) for at, amount in points]


DAY_OF_PRICES = stored((SINCE - 50, 80), (SINCE + 50, 120), (NOW - 60, 90), (NOW, 100))
NEWEST = DAY_OF_PRICES[-1]


class Scene:
    """A keeper on a history, at a time that tests set; monotonic time stands still until they set it."""

    def __init__(self, history: History) -> None:
        self.now = NOW
        self.monotonic = 0.0
        self.keeper = FiguresKeeper(CATALOG, history, lambda: self.now, lambda: self.monotonic)

    def of(self, newest: Price = NEWEST) -> Figures:
        """Return the figures at a price."""
        return self.keeper.of(newest)

    async def read(self, *symbols: str) -> None:
        """Wait until the history of these assets has been read."""
        done = (None, "history_too_young")
        await until(lambda: all(self.of(price(one)).figures_reason in done for one in symbols or SYMBOLS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the keeper."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.keeper.run())
            yield
            task.cancel()


def amounts(found: Figures) -> tuple[object, ...]:
    """Return change, high and low."""
    return found.change_24h, found.high_24h, found.low_24h
