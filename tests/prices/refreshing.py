"""A refresher and its loop on small real parts, for the tests of refreshes."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

from prometheus_client import CollectorRegistry

from aggregator.clock import SteadyClock
from aggregator.observability.metrics import Metrics
from aggregator.prices.freshness import Freshness
from aggregator.prices.price_maker import PriceMaker, PricingPolicy
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresh_loop import RefreshLoop
from aggregator.prices.refresher import Refresher
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Catalog
from aggregator.prices.venue_figures import VenueFigures
from aggregator.resilience.group_commit import GroupCommit, Sinks
from tests.parts.examples import CATALOG
from tests.parts.limits import allowed
from tests.parts.scripted import ScriptedExchange, Store

GRACE = 0.05  # seconds


class Parts:
    """A refresher, its loop, three scripted exchanges and two stores."""

    def __init__(
        self,
        catalog: Catalog = CATALOG,
        concurrency: int = 8,
        min_sources: int = 1,
        batch: int = 1,
        queue: LocalJobQueue | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: SteadyClock | None = None,
    ) -> None:
        self.metrics = Metrics(CollectorRegistry())
        now = time.time if wall is None else wall.now
        self.exchanges = [ScriptedExchange(f"exchange{number}", str(99 + number), now, batch) for number in (1, 2, 3)]
        self.cache, self.history = Store(), Store()
        self.freshness = Freshness(catalog, self.metrics)
        self.figures, self.clock = VenueFigures(), clock
        sinks = Sinks(
            GroupCommit("history", self.history, self.metrics), GroupCommit("cache", self.cache, self.metrics)
        )
        self.maker = PriceMaker(
            [exchange.name for exchange in self.exchanges],
            catalog.cadence,
            Publisher(self.cache.newest, sinks, self.freshness, self.metrics, now),
            self.metrics,
            PricingPolicy(Decimal("0.05"), min_sources, Decimal("0.5")),
            wall,
            clock,
            figures=self.figures,
        )
        self.refresher = Refresher(
            self.exchanges, self.maker, self.metrics, min_sources, GRACE, concurrency, clock=clock
        )
        queue = queue or LocalJobQueue(catalog, self.refresher.most_in_job)
        self.loop = RefreshLoop(catalog, queue, self.cache, self.refresher, self.freshness, self.metrics, clock=clock)

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(allowed(10)):
        while not condition():
            await asyncio.sleep(0.002)
