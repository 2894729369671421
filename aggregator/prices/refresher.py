"""One refresh: ask every exchange for some assets, make a price of each, and publish the prices."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec
import structlog

from aggregator.clock import SteadyClock
from aggregator.models import Asset, Clock, LeftOut, NoPrice, Outcomes, Price, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer, Value
from aggregator.ports import Exchange, Trigger
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.publisher import Publisher
from aggregator.prices.quorum import Quorum
from aggregator.prices.rejections import Rejections
from aggregator.prices.schedule import TOGETHER
from aggregator.prices.tiers import Catalog
from aggregator.prices.venue_figures import VenueFigures
from aggregator.resilience.single_flight import SingleFlight

Call = asyncio.Future[Mapping[str, Ticker | LeftOut]]

_MAX_JOB = 100  # assets
_MAX_JOB_UNBATCHED = 16  # assets, where an exchange takes one symbol a call: a job must not use all of its slots
_COMPUTE_BATCH = 16  # prices computed before the event loop serves other tasks


class Policy(msgspec.Struct, frozen=True):
    """The settings of how prices are made; aggregator/settings explains each."""

    max_deviation: Decimal
    min_sources: int
    max_weight: Decimal
    grace: float
    concurrency: int  # the most calls of one tier to one exchange at a time


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

    The schedule may hand over `most_in_job` assets at a time, and `jobs_at_a_time` such jobs of one tier.
    """

    def __init__(
        self,
        catalog: Catalog,
        exchanges: Sequence[Exchange],
        publisher: Publisher,
        metrics: Metrics,
        policy: Policy,
        wall: SteadyClock | None = None,
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer = UNTRACED,
        rejections: Rejections | None = None,
        figures: VenueFigures | None = None,
    ) -> None:
        self._exchanges = exchanges
        self._publisher = publisher
        self._metrics = metrics
        self._policy = policy
        self._wall = wall or SteadyClock()
        self._clock = clock
        self._tracer = tracer
        self._rejections = rejections or Rejections()
        self._figures = figures or VenueFigures()
        self.most_in_job = most_in_job(exchanges, policy.concurrency)
        calls = max(-(-self.most_in_job // exchange.batch) for exchange in exchanges)  # of one job, to one exchange
        self.jobs_at_a_time = max(1, policy.concurrency // calls)
        self._by_hand = asyncio.Semaphore(policy.concurrency)
        self._flights: SingleFlight[str, Outcomes] = SingleFlight()
        self._calls: set[Call] = set()
        self._log = structlog.get_logger()
        for exchange in exchanges:
            metrics.used_tickers.labels(exchange.name)  # so that the series is there from the start
        self._rules = {
            tier: Rules(cadence.max_age, policy.max_deviation, policy.min_sources, policy.max_weight)
            for tier, cadence in catalog.cadence.items()
        }

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
        await self._publisher.close(patience)

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
                found = await self._aggregate(answered)
                prices = _prices_in(found)
                outcomes |= found | await self._publisher.publish(prices, trigger)
                if prices:
                    self._metrics.refresh_seconds.labels(prices[0].tier.value).observe(self._clock() - started)
            span.record("aggregator.prices", len(_prices_in(outcomes)))
        return outcomes

    async def _ask(self, assets: Sequence[Asset]) -> AsyncIterator[list[tuple[Asset, list[Ticker | LeftOut]]]]:
        """Ask every exchange; yield groups of assets with all their answers. A call that exceeds the grace is late.

        A late call is not cancelled: it ends by its own timeout, so that the breaker counts a hanging exchange.
        """
        names = [exchange.name for exchange in self._exchanges]
        quorum = Quorum(assets, names, self._policy.min_sources, self._policy.grace)
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

    async def _aggregate(self, answered: Sequence[tuple[Asset, Sequence[Ticker | LeftOut]]]) -> Outcomes:
        """Return the outcome of each asset; count rejected and used tickers."""
        outcomes: Outcomes = {}
        if self._wall.is_off:
            self._wall.witness(_exchange_times(answers for _, answers in answered))
        for number, (asset, answers) in enumerate(answered, start=1):
            outcome = aggregate(asset, answers, self._rules[asset.tier], self._wall.now())
            outcomes[asset.symbol] = outcome
            for left_out in outcome.left_out:
                self._metrics.rejected_tickers.labels(left_out.exchange, left_out.reason.value).inc()
            if isinstance(outcome, NoPrice):
                self._metrics.refresh_errors.labels(asset.tier.value).inc()
            if number % _COMPUTE_BATCH == 0:
                await asyncio.sleep(0)
        used = Counter(source.exchange for price in _prices_in(outcomes) for source in price.sources)
        for exchange, count in used.items():
            self._metrics.used_tickers.labels(exchange).inc(count)
        self._log_rejections(outcomes)
        self._figures.record(outcomes.values(), self._clock())
        return outcomes

    def _log_rejections(self, outcomes: Outcomes) -> None:
        """Log each exchange whose tickers begin or cease to be rejected."""
        for change in self._rejections.record(outcomes.values(), self._clock()):
            log, rejection = self._log.bind(exchange=change.exchange), change.rejection
            if rejection is None:
                log.info("tickers_accepted")
            else:
                log.warning("tickers_rejected", reason=rejection.reason.value, assets=rejection.assets, of=rejection.of)


def _prices_in(outcomes: Outcomes) -> list[Price]:
    return [outcome for outcome in outcomes.values() if isinstance(outcome, Price)]


def _exchange_times(answers: Iterable[Sequence[Ticker | LeftOut]]) -> list[float]:
    """Return the times of the tickers that have the exchange's own time."""
    tickers = (one for some in answers for one in some if isinstance(one, Ticker))
    return [ticker.timestamp for ticker in tickers if ticker.clock is Clock.EXCHANGE]
