"""An exchange with all of its state: also what pricing makes of its tickers, and how many of our assets it trades."""

import time
from collections.abc import Callable

from aggregator.exchanges.wrapped import JudgedExchange
from aggregator.models import VenueWindow
from aggregator.ports import Exchange
from aggregator.prices.freshness import VenueCoverage
from aggregator.prices.rejections import Rejections
from aggregator.prices.venue_figures import VenueFigures


class MonitoredExchange(JudgedExchange):
    """Adds to the exchange's state its window of `figures`, and the number of assets of `coverage`.

    `clock` is the one by which `figures` records.
    """

    def __init__(
        self,
        inner: Exchange,
        rejections: Rejections,
        figures: VenueFigures,
        coverage: VenueCoverage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner, rejections)
        self._figures = figures
        self._coverage = coverage
        self._clock = clock

    @property
    def listed(self) -> int | None:
        """The number of our assets that the exchange trades; None while that is unknown."""
        return self._coverage.listed.get(self.name)

    @property
    def window(self) -> VenueWindow:
        """The outcomes of its tickers in pricing during the last five minutes."""
        return self._figures.of(self.name, self._clock())
