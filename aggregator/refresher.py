"""The refresh path: who is due -> ask every exchange -> one price -> every sink. Each tier has a lane of its own."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec
import structlog

from aggregator.commit import GroupCommit
from aggregator.flight import SingleFlight
from aggregator.freshness import Freshness
from aggregator.metrics import Metrics
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason, Ticker, Tier
from aggregator.ports import Exchange, Trigger
from aggregator.pricing import Rules, aggregate
from aggregator.tiers import Catalog, Schedule

Call = asyncio.Future[Mapping[str, Ticker | LeftOut]]
OnFill = Callable[[Tier], None]

_TICK = 0.02  # seconds; due times closer together than this are taken together


class Policy(msgspec.Struct, frozen=True):
    """How prices are made: see settings for the meaning of each."""

    max_deviation: Decimal
    min_sources: int
    grace: float
    lane: int  # refreshes under way per tier


class Refresher:
    """Keeps every asset's price fresh, and refreshes one now when asked."""

    def __init__(
        self,
        catalog: Catalog,
        exchanges: Sequence[Exchange],
        sinks: Sequence[GroupCommit],
        freshness: Freshness,
        metrics: Metrics,
        policy: Policy,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._exchanges = exchanges
        self._sinks = sinks
        self._freshness = freshness
        self._metrics = metrics
        self._policy = policy
        self._now = now
        self._clock = clock
        self._majority = len(exchanges) // 2 + 1
        self._lanes = {tier: asyncio.Semaphore(policy.lane) for tier in Tier}
        self._by_hand = asyncio.Semaphore(policy.lane)
        self._flights: SingleFlight[str, Price | NoPrice] = SingleFlight()
        self._calls: set[Call] = set()
        self._log = structlog.get_logger()
        self._rules = {
            tier: Rules(cadence.max_age, policy.max_deviation, policy.min_sources)
            for tier, cadence in catalog.cadence.items()
        }

    async def run(self, on_fill: OnFill) -> None:
        """Fill hot, then medium, then cold, each tier going on by its schedule as soon as it is filled. Never returns.

        `on_fill` hears of every asset refreshed for the first time.
        """
        async with asyncio.TaskGroup() as group:
            for tier in Tier:
                assets = self._catalog.of(tier)
                if assets:
                    unpriced = await self._fill(tier, assets, on_fill)
                    group.create_task(self._keep(tier, assets))
                    group.create_task(self._fill_again(tier, unpriced))

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Fetch, aggregate and store now; callers at the same moment share one fetch."""
        if asset.symbol in self._flights:
            return await self._flights.do(asset.symbol, lambda: self._refresh(asset, trigger))
        async with self._by_hand:
            return await self._flights.do(asset.symbol, lambda: self._refresh(asset, trigger))

    async def close(self, patience: float) -> None:
        """Let refreshes and writes under way finish for `patience` seconds; calls no one waits for are dropped."""
        await self._flights.close(patience)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for sink in self._sinks:
            await sink.close(patience)

    async def _fill(self, tier: Tier, assets: Sequence[Asset], on_fill: OnFill) -> list[Asset]:
        """Refresh each asset once; return those that have no price yet but might."""
        started = self._clock()
        outcomes: dict[str, Price | NoPrice] = {}

        async def fill(asset: Asset) -> None:
            outcomes[asset.symbol] = await self._in_lane(asset)
            on_fill(tier)

        async with asyncio.TaskGroup() as jobs:
            for asset in assets:
                await self._lanes[tier].acquire()
                jobs.create_task(fill(asset))
        priced = sum(isinstance(outcome, Price) for outcome in outcomes.values())
        missed = Counter(f"{one.exchange}: {one.reason}" for outcome in outcomes.values() for one in outcome.left_out)
        self._log.log(
            logging.INFO if priced == len(assets) else logging.WARNING,
            "tier_filled",
            tier=tier.value,
            assets=len(assets),
            priced=priced,
            seconds=round(self._clock() - started, 2),
            **({"left_out": dict(missed)} if missed else {}),
        )
        return [asset for asset in assets if _might_be_priced(outcomes[asset.symbol])]

    async def _fill_again(self, tier: Tier, unpriced: Sequence[Asset]) -> None:
        """Go on with what the first fill could not price, at growing pauses until the tier's interval takes over.

        Exchanges that come up a moment after us must not cost a cold asset five minutes.
        """
        pause, interval = 1.0, self._catalog.cadence[tier].interval
        while unpriced and pause < interval:
            await asyncio.sleep(pause)
            unpriced = await self._fill(tier, unpriced, lambda _: None)
            pause *= 2

    async def _keep(self, tier: Tier, assets: Sequence[Asset]) -> None:
        """Refresh the tier's assets by its schedule, for ever."""
        schedule = Schedule(len(assets), self._catalog.cadence[tier].interval, self._clock())
        missed = self._metrics.refresh_missed.labels(tier.value)
        async with asyncio.TaskGroup() as jobs:
            while True:
                await asyncio.sleep(max(_TICK, schedule.next_due - self._clock()))
                for place in schedule.take(self._clock()):
                    if assets[place].symbol in self._flights:
                        missed.inc()
                        continue
                    await self._lanes[tier].acquire()
                    jobs.create_task(self._in_lane(assets[place]))
                missed.inc(schedule.pop_missed())

    async def _in_lane(self, asset: Asset) -> Price | NoPrice:
        """Refresh by schedule; the caller has taken a place in the tier's lane, which this gives back."""
        try:
            return await self._flights.do(asset.symbol, lambda: self._refresh(asset, "auto"))
        finally:
            self._lanes[asset.tier].release()

    async def _refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        started = self._clock()
        answers = await self._ask(asset)
        outcome = aggregate(asset, answers, self._rules[asset.tier], self._now())
        for left_out in outcome.left_out:
            self._metrics.rejected_tickers.labels(left_out.exchange, left_out.reason.value).inc()
        if isinstance(outcome, NoPrice):
            self._metrics.refresh_errors.labels(asset.tier.value).inc()
            return outcome
        # One after the other: what the first, the history, has on disk, the second may show. So nothing is served that
        # a kill could still take; and where one fails, the next is written all the same.
        taken = [await sink.write([outcome]) for sink in self._sinks]
        if any(taken):
            self._freshness.note(outcome, self._now())
        self._metrics.refreshes.labels(asset.tier.value, trigger).inc()
        self._metrics.refresh_seconds.labels(asset.tier.value).observe(self._clock() - started)
        return outcome

    async def _ask(self, asset: Asset) -> list[Ticker | LeftOut]:
        """Ask every exchange. Once enough have answered, the rest get the grace; after that they are late.

        A late call is not cut short: it ends by its own timeout, which is how its breaker learns of a hanging exchange.
        """
        calls = {self._call(exchange, asset): exchange.name for exchange in self._exchanges}
        waiting: set[Call] = set(calls)
        while waiting and not self._enough([call for call in calls if call not in waiting], asset):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=self._policy.grace)
        return [
            LeftOut(name, Reason.LATE, f"not within {self._policy.grace:g} s of the majority")
            if call in waiting
            else call.result()[asset.symbol]
            for call, name in calls.items()
        ]

    def _call(self, exchange: Exchange, asset: Asset) -> Call:
        call: Call = asyncio.ensure_future(exchange.fetch([asset]))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    def _enough(self, answered: Sequence[Call], asset: Asset) -> bool:
        """Whether a majority has answered and a price can be made of it; refusals alone are no reason to hurry."""
        tickers = sum(isinstance(call.result()[asset.symbol], Ticker) for call in answered)
        return len(answered) >= self._majority and tickers >= max(1, self._policy.min_sources)


def _might_be_priced(outcome: Price | NoPrice) -> bool:
    """Whether asking again soon makes sense: not for what has a price, nor for what no exchange lists."""
    return isinstance(outcome, NoPrice) and any(one.reason is not Reason.NOT_LISTED for one in outcome.left_out)
