"""Reprices a hot asset soon after an exchange has pushed a ticker of it.

The first ticker since the asset's last price starts a pause of `debounce` seconds; then one price is made of the newest
tickers. So an asset is priced at most once per pause, and a ticker waits for at most one pause. Under more load than
the process can bear, a round takes longer than the pause, and each price has the tickers of more time in it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from aggregator.models import Asset, Ticker, Tier
from aggregator.ports import Exchange
from aggregator.prices.price_maker import PriceMaker
from aggregator.prices.tiers import Catalog

_TICK = 0.01  # seconds; assets that are due within it are priced together


class Repricer:
    """Listens to pushed tickers, and has the newest ones priced when their assets are due."""

    def __init__(
        self,
        catalog: Catalog,
        exchanges: Sequence[Exchange],
        maker: PriceMaker,
        debounce: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._maker = maker
        self._debounce = debounce
        self._clock = clock
        self._waiting: dict[str, set[Exchange]] = {}  # the exchanges with news, by symbol
        self._due: deque[tuple[float, str]] = deque()  # one for each symbol that waits; times ascend
        self._awake = asyncio.Event()
        for exchange in exchanges:
            exchange.listen(partial(self._note, exchange))

    def _note(self, exchange: Exchange, symbol: str) -> None:
        waiting = self._waiting.get(symbol)
        if waiting is not None:
            waiting.add(exchange)
        elif self._hot(symbol) is not None:
            self._waiting[symbol] = {exchange}
            self._due.append((self._clock() + self._debounce, symbol))
            self._awake.set()

    def _hot(self, symbol: str) -> Asset | None:
        asset = self._catalog.find(symbol)
        return asset if asset is not None and asset.tier is Tier.HOT else None

    async def run(self) -> None:
        """Price the assets that are due; never returns."""
        while True:
            await self._awake.wait()
            while self._due:
                await asyncio.sleep(max(_TICK, self._due[0][0] - self._clock()))
                if pushed := self._take_due():
                    await self._maker.make_of_pushed(pushed)
            self._awake.clear()

    def _take_due(self) -> dict[Asset, list[Ticker]]:
        """Return the pushed tickers of the assets that are due, without those that have become unusable meanwhile."""
        pushed: dict[Asset, list[Ticker]] = {}
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            _, symbol = self._due.popleft()
            exchanges, asset = self._waiting.pop(symbol), self._hot(symbol)
            if asset is None:  # it has left the hot tier
                continue
            if found := [ticker for one in exchanges if (ticker := one.pushed(asset)) is not None]:
                pushed[asset] = found
        return pushed
