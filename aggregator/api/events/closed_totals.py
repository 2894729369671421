"""The totals of closed positions, read page by page and kept for a few seconds."""

import time
from collections import OrderedDict
from collections.abc import Callable

from aggregator.api.events.strategy_schema import ClosedTotals
from aggregator.prices.tiers import Catalog
from aggregator.resilience.single_flight import SingleFlight
from aggregator.strategy.ports import PositionReader
from aggregator.strategy.totals import Tally

_PAGE = 1000
_MOST = 100_000  # positions that are added up
_KEPT_SECONDS = 5.0
_MOST_KEPT = 100  # assets


class ClosedTally:
    """Adds up closed positions; requests at the same time share one reading."""

    def __init__(
        self, catalog: Catalog, positions: PositionReader, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog = catalog
        self._positions = positions
        self._clock = clock
        self._kept: OrderedDict[str | None, tuple[float, ClosedTotals]] = OrderedDict()
        self._flights: SingleFlight[str | None, ClosedTotals] = SingleFlight()

    async def of(self, asset: str | None) -> ClosedTotals:
        """Return the totals of an asset, of all if None; at most five seconds old. Raises StoreError."""
        kept = self._kept.get(asset)
        if kept is not None and self._clock() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        return await self._flights.do(asset, lambda: self._read(asset))

    async def _read(self, asset: str | None) -> ClosedTotals:
        tally, complete = Tally(), True
        after: tuple[float, str] | None = None
        while True:
            page = await self._positions.closed(asset, _PAGE, after)
            for one in page:
                listed = self._catalog.find(one.asset)
                tally.add(one, "" if listed is None else listed.quote)
            if len(page) < _PAGE:
                break
            after = page[-1].exit_time or 0.0, page[-1].id
            if tally.closed >= _MOST:
                complete = False
                break
        found = tally.totals()
        totals = ClosedTotals(found.closed, found.won, found.profit, complete)
        self._kept[asset] = self._clock(), totals
        self._kept.move_to_end(asset)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return totals

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for readings under way, then end them."""
        await self._flights.close(patience)
