"""Earlier prices that a process with a memory cache knows after its start."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aggregator.models import Price, Tier
from aggregator.observability.tracing import UNTRACED
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.build_refresher import recall_newest
from aggregator.runtime.process import Process
from aggregator.runtime.process import Stores as OpenStores
from aggregator.settings.loader import load
from tests.parts import virtual_time
from tests.parts.examples import price
from tests.parts.scripted import Store


class SlowHistory(Store):
    """A history that is asked for each symbol, as DynamoDB is; each takes 5 ms."""

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return a price of each."""
        await asyncio.sleep(0.005 * len(symbols))
        return {symbol: price(symbol) for symbol in symbols}


def test_the_hottest_prices_are_known_although_the_time_is_over(tmp_path: Path) -> None:
    """A history that cannot be read in two seconds is read as far as possible."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text("symbol\n" + "".join(f"asset{number}\n" for number in range(1000)))
    settings = load({"symbols_file": str(symbols), "exchanges": "binance", "hot_size": "50", "medium_size": "150"})
    catalog, cache = catalog_of(settings), Store()

    async def story() -> None:
        async with AsyncExitStack() as stack:
            process = Process(settings, catalog, UNTRACED, stack, asyncio.Event())
            stores = OpenStores(None, cache, SlowHistory())  # type: ignore[arg-type]  # reads are all that a recall needs
            await recall_newest(process, stores)

    virtual_time.run(story())
    known = {tier: sum(cache.newest.known(one.symbol) is not None for one in catalog.of(tier)) for tier in Tier}
    assert (known[Tier.HOT], known[Tier.MEDIUM]) == (50, 150)
    assert 0 < known[Tier.COLD] < 800
