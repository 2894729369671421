"""One refresh: ask every exchange for some assets, and make prices of the answers."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from aggregator.models import Asset, LeftOut, NoPrice, Outcomes, Price, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer, Value
from aggregator.ports import Exchange, Trigger
from aggregator.prices.price_maker import PriceMaker, prices_in
from aggregator.prices.quorum import Quorum
from aggregator.prices.schedule import TOGETHER
from aggregator.resilience.single_flight import SingleFlight

Call = asyncio.Future[Mapping[str, Ticker | LeftOut]]

_MAX_JOB = 100  # assets
_MAX_JOB_UNBATCHED = 16  # assets, where an exchange takes one symbol a call: a job must not use all of its slots


def most_in_job(exchanges: Sequence[Exchange], concurrency: int) -> int:
    """Return the most assets of one job: a single call to each exchange, or a few calls where it takes few symbols."""
    return min(_MAX_JOB, *(max(min(_MAX_JOB_UNBATCHED, concurrency), exchange.batch) for exchange in exchanges))


def seconds_together(exchanges: Sequence[Exchange]) -> float:
    """Return the seconds within which due assets share a job: longer where an exchange allows few calls a second.

    Each tier then has one job per such period, which leaves the rate limit one more call for refreshes by hand.
    """
    slowest = min((one.calls_a_second for one in exchanges if one.calls_a_second is not None), default=math.inf)
    return max(TOGETHER, (len(Tier) + 1) / slowest)


class Refresher:
    """`aggregator.ports.Refresh`. An asset is never refreshed twice at the same time.

    The schedule may hand over `most_in_job` assets at a time, and `jobs_at_a_time` such jobs of one tier. A price needs
    `min_sources` tickers; a majority of the exchanges waits `grace` seconds for the others; one tier has at most
    `concurrency` calls to one exchange under way.
    """

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        maker: PriceMaker,
        metrics: Metrics,
        min_sources: int,
        grace: float,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._exchanges = exchanges
        self._maker = maker
        self._metrics = metrics
        self._min_sources = min_sources
        self._grace = grace
        self._clock = clock
        self._tracer = tracer
        self.most_in_job = most_in_job(exchanges, concurrency)
        calls = max(-(-self.most_in_job // exchange.batch) for exchange in exchanges)  # of one job, to one exchange
        self.jobs_at_a_time = max(1, concurrency // calls)
        self._by_hand = asyncio.Semaphore(concurrency)
        self._flights: SingleFlight[str, Outcomes] = SingleFlight()
        self._calls: set[Call] = set()

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Fetch, aggregate and store one asset now; concurrent callers share one fetch."""
        if asset.symbol in self._flights:
            return (await self._flights.do(asset.symbol, lambda: self._refresh([asset], trigger)))[asset.symbol]
        async with self._by_hand:
            return (await self._flights.do(asset.symbol, lambda: self._refresh([asset], trigger)))[asset.symbol]

    async def refresh_together(self, assets: Sequence[Asset]) -> Outcomes:
        """Refresh assets of one tier for the schedule; return their outcomes.

        An asset that is being refreshed already counts as missed and has no outcome.
        """
        idle = [asset for asset in assets if asset.symbol not in self._flights]
        if len(idle) < len(assets):
            self._metrics.refresh_missed.labels(assets[0].tier.value).inc(len(assets) - len(idle))
        if not idle:
            return {}
        return await self._flights.do_together([asset.symbol for asset in idle], lambda: self._refresh(idle, "auto"))

    async def close(self, patience: float) -> None:
        """Let refreshes and writes finish for at most `patience` seconds each; cancel late calls to exchanges."""
        await self._flights.close(patience)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._maker.close(patience)

    async def _refresh(self, assets: Sequence[Asset], trigger: Trigger) -> Outcomes:
        """Ask the exchanges; make and publish the prices of each group of assets as soon as it has its answers."""
        outcomes: Outcomes = {}
        started = self._clock()
        attributes: dict[str, Value] = {
            "aggregator.tier": assets[0].tier.value,
            "aggregator.assets": len(assets),
            "aggregator.trigger": trigger,
        }
        with self._tracer.span("refresh", attributes) as span:
            async for answered in self._ask(assets):
                made = await self._maker.make_of_answers(answered, trigger)
                outcomes |= made
                if prices := prices_in(made):
                    self._metrics.refresh_seconds.labels(prices[0].tier.value).observe(self._clock() - started)
            span.record("aggregator.prices", len(prices_in(outcomes)))
        return outcomes

    async def _ask(self, assets: Sequence[Asset]) -> AsyncIterator[list[tuple[Asset, list[Ticker | LeftOut]]]]:
        """Ask every exchange; yield groups of assets with all their answers. A call that exceeds the grace is late.

        A late call is not cancelled: it ends by its own timeout, so that the breaker counts a hanging exchange.
        """
        names = [exchange.name for exchange in self._exchanges]
        quorum = Quorum(assets, names, self._min_sources, self._grace, self._maker.makes_price)
        calls: dict[Call, str] = {}
        for exchange in self._exchanges:
            for first in range(0, len(assets), exchange.batch):
                call: Call = asyncio.ensure_future(exchange.fetch(assets[first : first + exchange.batch]))
                calls[call] = exchange.name
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        pending: set[Call] = set(calls)
        while quorum.open:
            end = quorum.next_end
            patience = None if end is None else max(0.0, end - self._clock())
            done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                quorum.record(calls[call], call.result(), self._clock())
            if answered := quorum.settle(self._clock()):
                yield answered
