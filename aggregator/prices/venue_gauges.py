"""The gauges of each exchange's price of each hot asset. Set every two seconds, so that a price costs nothing more."""

import asyncio
import time
from collections.abc import Callable, Iterator

from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.ending_gauge import EndingGauge
from aggregator.prices.tiers import Catalog
from aggregator.prices.venue_figures import Sample, VenueFigures, quotes

_SECONDS = 2.0  # between two updates
_TOGETHER = 10  # assets shown before the event loop serves other tasks
MOST_ASSETS = 200  # with five exchanges 2000 series, which make a scrape some 30 ms longer

Labels = tuple[str, str]  # exchange, asset


class VenueGauges:
    """Shows the quotes of the samples of `figures`.

    Of the first 200 hot assets by rank. A series ends when its asset is no longer among these, and when the exchange
    has had no young ticker of it for six hot intervals. `clock` is the one by which `figures` records.
    """

    def __init__(
        self,
        figures: VenueFigures,
        catalog: Catalog,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._figures = figures
        self._catalog = catalog
        self._clock = clock
        self._patience = catalog.cadence[Tier.HOT].gone_after
        self._prices = EndingGauge(metrics.venue_price, is_shared=metrics.is_shared)
        self._distances = EndingGauge(metrics.venue_distance, is_shared=metrics.is_shared)
        self._shown_at: dict[str, float] = {}  # by asset: the time of the sample that is shown
        self._quoted_at: dict[Labels, float] = {}
        self._compared_at: dict[Labels, float] = {}

    async def run(self) -> None:
        """Update the gauges every two seconds; never returns."""
        while True:
            for _ in self.update(self._clock()):
                await asyncio.sleep(0)
            await asyncio.sleep(_SECONDS)

    def update(self, now: float) -> Iterator[None]:
        """Show the samples that are new, and end the series without news; yield where other tasks may run."""
        chosen = {asset.symbol for asset in self._catalog.of(Tier.HOT)[:MOST_ASSETS]}
        for number, (symbol, sample) in enumerate(self._figures.hot(), start=1):
            if number % _TOGETHER == 0:
                yield
            if symbol not in chosen:
                self._figures.forget(symbol)
                self._shown_at.pop(symbol, None)
            elif self._shown_at.get(symbol) != sample.at:
                self._shown_at[symbol] = sample.at
                self._show(symbol, sample)
        self._end(lambda labels, at: labels[1] not in chosen or now - at > self._patience)

    def _show(self, symbol: str, sample: Sample) -> None:
        for quote in quotes(sample.outcome):
            labels = (quote.exchange, symbol)
            self._quoted_at[labels] = sample.at
            self._prices.set(labels, quote.price)
            if quote.distance is not None:
                self._compared_at[labels] = sample.at
                self._distances.set(labels, quote.distance)

    def _end(self, is_over: Callable[[Labels, float], bool]) -> None:
        for gauge, times in ((self._prices, self._quoted_at), (self._distances, self._compared_at)):
            for labels in [labels for labels, at in times.items() if is_over(labels, at)]:
                del times[labels]
                gauge.end(labels)
