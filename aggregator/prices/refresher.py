"""The refresh path: who is due -> ask every exchange -> a price each -> every sink. Each tier has a lane of its own."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec
import structlog

from aggregator.clock import SteadyClock
from aggregator.errors import StoreError
from aggregator.models import Asset, Clock, LeftOut, NoPrice, Price, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer, Value
from aggregator.ports import Exchange, Job, JobQueue, LocalCache, Trigger
from aggregator.prices.freshness import Freshness
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.publisher import Publisher
from aggregator.prices.quorum import Quorum
from aggregator.prices.rejections import Change, Rejections
from aggregator.prices.schedule import TOGETHER
from aggregator.prices.tiers import Catalog
from aggregator.prices.warmup import OnWarmUp, Outcomes, WarmUp
from aggregator.resilience.single_flight import SingleFlight

Call = asyncio.Future[Mapping[str, Ticker | LeftOut]]

_MOST_IN_JOB = 100
_FEW_IN_JOB = 16  # where an exchange takes one symbol a call, so that a job does not take all its slots
_AT_A_TIME = 16  # prices computed before others get their turn on the event loop


class Policy(msgspec.Struct, frozen=True):
    """How prices are made: see settings for the meaning of each."""

    max_deviation: Decimal
    min_sources: int
    max_weight: Decimal
    grace: float
    lane: int  # calls to one exchange under way per tier


def most_in_job(exchanges: Sequence[Exchange], lane: int) -> int:
    """Return how many assets one job may have: what all exchanges take in one call, or a few calls of the others."""
    return min(_MOST_IN_JOB, *(max(min(_FEW_IN_JOB, lane), exchange.batch) for exchange in exchanges))


def seconds_together(exchanges: Sequence[Exchange]) -> float:
    """Return within how many seconds due assets may share a job: more where an exchange allows few calls a second.

    Each tier has a job in each such time; the rest of the calls is for refreshes by hand.
    """
    slowest = min((one.calls_a_second for one in exchanges if one.calls_a_second is not None), default=math.inf)
    return max(TOGETHER, (len(Tier) + 1) / slowest)


def times_of(answers: Iterable[Sequence[Ticker | LeftOut]]) -> list[float]:
    """Return the tickers' times that are the exchanges' own."""
    tickers = (one for some in answers for one in some if isinstance(one, Ticker))
    return [ticker.timestamp for ticker in tickers if ticker.clock is Clock.EXCHANGE]


class Refresher:
    """Keeps every asset's price fresh, and refreshes one now when asked."""

    def __init__(
        self,
        catalog: Catalog,
        exchanges: Sequence[Exchange],
        work: JobQueue,
        near: LocalCache,
        publisher: Publisher,
        freshness: Freshness,
        metrics: Metrics,
        policy: Policy,
        wall: SteadyClock | None = None,
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer = UNTRACED,
        rejections: Rejections | None = None,
    ) -> None:
        self._catalog = catalog
        self._exchanges = exchanges
        self._work = work
        self._near = near
        self._publisher = publisher
        self._freshness = freshness
        self._metrics = metrics
        self._policy = policy
        self._wall = wall or SteadyClock()
        self._now = self._wall.now
        self._clock = clock
        self._tracer = tracer
        self._rejections = rejections or Rejections()
        self._most = most_in_job(exchanges, policy.lane)
        calls = max(-(-self._most // exchange.batch) for exchange in exchanges)  # of one job, to one exchange
        self._lanes = {tier: asyncio.Semaphore(max(1, policy.lane // calls)) for tier in Tier}
        self._by_hand = asyncio.Semaphore(policy.lane)
        self._flights: SingleFlight[str, Outcomes] = SingleFlight()
        self._calls: set[Call] = set()
        self._log = structlog.get_logger()
        for exchange in exchanges:
            metrics.used_tickers.labels(exchange.name)
        self._rules = {
            tier: Rules(cadence.max_age, policy.max_deviation, policy.min_sources, policy.max_weight)
            for tier, cadence in catalog.cadence.items()
        }

    async def run(self, on_fill: OnWarmUp) -> None:
        """Fill hot, then medium, then cold, each tier keeping its schedule from when its fill begins. Never returns.

        `on_fill` hears of how many assets of a tier were refreshed for the first time.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run())
            for tier in Tier:
                if self._catalog.of(tier):
                    interval = self._catalog.cadence[tier].interval
                    filling = WarmUp(self._work, tier, self._most, interval, self._clock)
                    await self._begin(filling, group, on_fill)
                    group.create_task(filling.again())

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Fetch, aggregate and store now; callers at the same moment share one fetch."""
        if asset.symbol in self._flights:
            return (await self._flights.do(asset.symbol, lambda: self._refresh([asset], trigger)))[asset.symbol]
        async with self._by_hand:
            return (await self._flights.do(asset.symbol, lambda: self._refresh([asset], trigger)))[asset.symbol]

    async def close(self, patience: float) -> None:
        """Let refreshes and writes under way finish for `patience` seconds; calls no one waits for are dropped."""
        await self._flights.close(patience)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._publisher.close(patience)

    async def _begin(self, filling: WarmUp, group: asyncio.TaskGroup, on_fill: OnWarmUp) -> None:
        """Fill the tier, but for what the cache has fresh: from before a restart, or from another refresher."""
        tier = filling.tier
        async with self._work.warm_up_lock(tier):
            assets = self._catalog.of(tier)
            fresh = await self._fresh(tier, assets)
            on_fill(tier, len(fresh))
            if fresh:
                self._log.info("tier_found_fresh", tier=tier.value, assets=len(fresh))
            group.create_task(self._keep(filling))
            await filling.first([asset.symbol for asset in assets if asset.symbol not in fresh], on_fill)

    async def _fresh(self, tier: Tier, assets: Sequence[Asset]) -> set[str]:
        """Return those the cache has a price of that can wait for its turn: at most half an interval old."""
        try:
            held = await self._near.latest([asset.symbol for asset in assets])
        except StoreError:
            return set()
        self._freshness.receive(list(held.values()))
        oldest = self._now() - self._catalog.cadence[tier].interval / 2
        return {price.asset for price in held.values() if price.timestamp >= oldest}

    async def _keep(self, filling: WarmUp) -> None:
        """Do the tier's jobs, for ever. One is taken only when the lane has a place for it: others may be waiting."""
        tier = filling.tier
        missed = self._metrics.refresh_missed.labels(tier.value)
        async with asyncio.TaskGroup() as jobs:
            while True:
                await self._lanes[tier].acquire()
                job, symbols = await filling.next_job(jobs)
                missed.inc(self._work.pop_missed(tier))
                jobs.create_task(self._do(filling, job, symbols))

    async def _do(self, filling: WarmUp, job: Job | None, symbols: Sequence[str]) -> None:
        """Do what is left of a job, or a piece of the fill."""
        assets = [asset for symbol in symbols if (asset := self._catalog.find(symbol))]
        filling.record(symbols, await self._in_lane(filling.tier, assets))
        if job is not None:
            await self._work.done(job)

    async def _in_lane(self, tier: Tier, assets: Sequence[Asset]) -> Outcomes:
        """Refresh those not under way; the caller has taken a place in the tier's lane, which this gives back."""
        try:
            free = [asset for asset in assets if asset.symbol not in self._flights]
            self._metrics.refresh_missed.labels(tier.value).inc(len(assets) - len(free))
            if not free:
                return {}
            symbols = [asset.symbol for asset in free]
            return await self._flights.do_together(symbols, lambda: self._refresh(free, "auto"))
        finally:
            self._lanes[tier].release()

    async def _refresh(self, assets: Sequence[Asset], trigger: Trigger) -> Outcomes:
        """Return what became of each asset."""
        told: dict[str, Value] = {
            "aggregator.tier": assets[0].tier.value,
            "aggregator.assets": len(assets),
            "aggregator.trigger": trigger,
        }
        with self._tracer.span("refresh", told) as span:
            outcomes = await self._refreshed(assets, trigger)
            span.record("aggregator.prices", sum(isinstance(outcome, Price) for outcome in outcomes.values()))
            return outcomes

    async def _refreshed(self, assets: Sequence[Asset], trigger: Trigger) -> Outcomes:
        outcomes: Outcomes = {}
        started = self._clock()
        async for answered in self._ask(assets):
            found = await self._aggregate(answered)
            prices = [outcome for outcome in found.values() if isinstance(outcome, Price)]
            outcomes |= found | await self._publisher.publish(prices, trigger)
            if prices:
                self._metrics.refresh_seconds.labels(prices[0].tier.value).observe(self._clock() - started)
        return outcomes

    async def _aggregate(self, answered: Sequence[tuple[Asset, Sequence[Ticker | LeftOut]]]) -> Outcomes:
        outcomes: Outcomes = {}
        if self._wall.is_off:
            self._wall.witness(times_of(answers for _, answers in answered))
        for number, (asset, answers) in enumerate(answered, start=1):
            outcome = aggregate(asset, answers, self._rules[asset.tier], self._now())
            outcomes[asset.symbol] = outcome
            for left_out in outcome.left_out:
                self._metrics.rejected_tickers.labels(left_out.exchange, left_out.reason.value).inc()
            if isinstance(outcome, NoPrice):
                self._metrics.refresh_errors.labels(asset.tier.value).inc()
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        self._judge(outcomes)
        return outcomes

    def _judge(self, outcomes: Outcomes) -> None:
        """Count the tickers that were used, and log each exchange whose tickers begin or cease to be rejected."""
        prices = [outcome for outcome in outcomes.values() if isinstance(outcome, Price)]
        for exchange, count in Counter(source.exchange for price in prices for source in price.sources).items():
            self._metrics.used_tickers.labels(exchange).inc(count)
        for change in self._rejections.record(outcomes.values(), self._clock()):
            self._log_change(change)

    def _log_change(self, change: Change) -> None:
        log, rejection = self._log.bind(exchange=change.exchange), change.rejection
        if rejection is None:
            log.info("tickers_accepted")
        else:
            log.warning("tickers_rejected", reason=rejection.reason.value, assets=rejection.assets, of=rejection.of)

    async def _ask(self, assets: Sequence[Asset]) -> AsyncIterator[list[tuple[Asset, list[Ticker | LeftOut]]]]:
        """Ask every exchange; yield the assets as they have been answered. After its grace, a call is late.

        A late call is not cut short: it ends by its own timeout, which is how its breaker learns of a hanging exchange.
        """
        names = [exchange.name for exchange in self._exchanges]
        quorum = Quorum(assets, names, self._policy.min_sources, self._policy.grace)
        calls = {self._call(exchange, part): exchange.name for exchange, part in self._parts(assets)}
        waiting: set[Call] = set(calls)
        while quorum.open:
            end = quorum.next_end
            patience = None if end is None else max(0.0, end - self._clock())
            done, waiting = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                quorum.record(calls[call], call.result(), self._clock())
            if answered := quorum.settle(self._clock()):
                yield answered

    def _parts(self, assets: Sequence[Asset]) -> list[tuple[Exchange, Sequence[Asset]]]:
        """Return whom to ask for what in one call."""
        return [
            (exchange, assets[first : first + exchange.batch])
            for exchange in self._exchanges
            for first in range(0, len(assets), exchange.batch)
        ]

    def _call(self, exchange: Exchange, assets: Sequence[Asset]) -> Call:
        call: Call = asyncio.ensure_future(exchange.fetch(assets))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call
