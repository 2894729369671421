"""The refresh loop: the order of the warm-up, the schedule after it, and the concurrency limit of each tier."""

import asyncio
import time
from collections import Counter

import pytest

from aggregator.models import LeftOut, Reason, Tier
from aggregator.ports import Job
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Cadence, assign
from tests.parts.examples import BTC, CADENCE, CATALOG
from tests.prices.refreshing import Parts, until


class Backlog(LocalJobQueue):
    """A queue with jobs that have been due for the given seconds, and no others."""

    def __init__(self, *waited: float) -> None:
        super().__init__(CATALOG, 1)
        self._left = [Job(Tier.HOT, (BTC.symbol,), time.monotonic() - seconds) for seconds in waited]
        self.all_done = asyncio.Event()

    async def next_job(self, tier: Tier) -> Job:
        """Return the next job."""
        if not self._left or tier is not Tier.HOT:
            await asyncio.Event().wait()
        return self._left.pop(0)

    def pop_missed(self, tier: Tier) -> int:  # noqa: ARG002  # JobQueue's signature
        """Report no missed job."""
        return 0

    async def done(self, job: Job) -> None:  # noqa: ARG002  # JobQueue's signature
        """Set `all_done` after the last job."""
        if not self._left:
            self.all_done.set()


async def test_the_warm_up_goes_from_hot_to_cold() -> None:
    """Tiers warm up in order, within the concurrency limit, and every asset is reported once."""
    catalog = assign([(f"s{number}", "", "") for number in range(100)], 5, 15, CADENCE)
    parts, done = Parts(catalog, concurrency=4), Counter[Tier]()
    running = asyncio.create_task(parts.loop.run(lambda tier, assets: done.update({tier: assets})))
    await until(lambda: done.total() == 100)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    first_asked = list(dict.fromkeys(parts.exchanges[0].asked))
    assert set(first_asked[:5]) == {asset.symbol for asset in catalog.of(Tier.HOT)}
    cold = {asset.symbol for asset in catalog.of(Tier.COLD)}
    medium = [symbol for symbol in first_asked if symbol not in cold]
    assert set(medium) == {f"s{number}" for number in range(20)}
    assert first_asked.index("s20") > first_asked.index("s19") - 4
    # four of the tier that warms up, and as many of each tier that is on its schedule
    assert parts.exchanges[0].most_under_way <= 4 * 3
    assert done == {Tier.HOT: 5, Tier.MEDIUM: 15, Tier.COLD: 80}
    assert len({price.asset for price in parts.cache.written}) == 100


@pytest.mark.parametrize(("waited", "asked"), [((60, 50), 1), ((60, -1), 2), ((60,), 1), ((60, -1, 60), 3)])
async def test_a_job_due_before_the_warm_up_is_done_by_it(waited: tuple[float, ...], asked: int) -> None:
    """A job due before the warm-up asks no exchange again; a job that falls due later does."""
    queue = Backlog(*waited)
    parts = Parts(queue=queue)
    running = asyncio.create_task(parts.loop.run(lambda _tier, _assets: None))
    async with asyncio.timeout(10):
        await queue.all_done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    assert parts.exchanges[0].asked.count(BTC.symbol) == asked


async def test_every_asset_is_refreshed_by_schedule() -> None:
    """Assets are refreshed evenly, counted as auto refreshes, and none is missed."""
    cadence = {tier: Cadence(0.2) for tier in Tier}
    catalog = assign([(f"s{number}", "", "") for number in range(10)], 10, 0, cadence)
    parts = Parts(catalog)
    running = asyncio.create_task(parts.loop.run(lambda _tier, _assets: None))
    await until(lambda: parts.value("price_refresh_total", tier="hot", trigger_type="auto") >= 50)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    counts = Counter(parts.exchanges[0].asked)
    assert len(counts) == 10
    assert max(counts.values()) - min(counts.values()) <= 1
    assert parts.value("price_age_at_replacement_seconds_count", tier="hot") >= 40


async def test_a_hanging_tier_neither_overlaps_itself_nor_delays_a_hotter_one() -> None:
    """While cold assets hang, the hot one goes on; no cold one is asked for twice, and misses are counted."""
    cadence = {tier: Cadence(0.1) for tier in Tier}
    catalog = assign([(f"s{number}", "", "") for number in range(5)], 1, 0, cadence)
    parts = Parts(catalog, concurrency=2)
    done = Counter[Tier]()
    running = asyncio.create_task(parts.loop.run(lambda tier, assets: done.update({tier: assets})))
    await until(lambda: done.total() == 5)
    for exchange in parts.exchanges:
        exchange.asked.clear()
        exchange.hang_but_for("s0")
    await until(lambda: parts.exchanges[0].asked.count("s0") >= 10)
    cold_asked = [symbol for symbol in parts.exchanges[0].asked if symbol != "s0"]
    assert len(cold_asked) == len(set(cold_asked)) <= 2  # the tier's two slots, each held by a call that hangs
    for exchange in parts.exchanges:
        exchange.let_go.set()
    await until(lambda: parts.value("price_refresh_missed_total", tier="cold") > 0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)


async def test_assets_due_together_share_a_call() -> None:
    """After the warm-up, a hundred assets per ten seconds are asked for in calls of ten."""
    cadence = {tier: Cadence(10) for tier in Tier}
    catalog = assign([(f"s{number}", "", "") for number in range(100)], 100, 0, cadence)
    parts = Parts(catalog, batch=1000)
    running = asyncio.create_task(parts.loop.run(lambda _tier, _assets: None))
    await until(lambda: parts.exchanges[0].calls >= 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    assert len(set(parts.exchanges[0].asked[:100])) == 100
    assert parts.exchanges[0].asked[100:110] == [f"s{number}" for number in range(10, 20)]
    assert parts.cache.written[0].price == 101


async def test_one_asset_that_only_the_hanging_exchange_lists_holds_up_no_other() -> None:
    """The other assets are stored after the grace; this one has its price once the exchange answers."""
    catalog = assign([(f"s{number}", "", "") for number in range(3)], 3, 0, CADENCE)
    parts = Parts(catalog, batch=1000)
    for exchange in parts.exchanges[:2]:
        exchange.script = lambda asset, exchange=exchange: (  # type: ignore[misc]  # a default has no type
            LeftOut(exchange.name, Reason.NOT_LISTED) if asset.symbol == "s1" else exchange._ticker(asset)
        )
    parts.exchanges[2].hang()
    running = asyncio.create_task(parts.loop.run(lambda _tier, _assets: None))
    await until(lambda: len(parts.cache.written) == 2)
    assert {price.asset for price in parts.cache.written} == {"s0", "s2"}
    parts.exchanges[2].let_go.set()
    await until(lambda: "s1" in {price.asset for price in parts.cache.written})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)


async def test_a_crash_in_a_refresh_ends_the_run() -> None:
    """An unexpected exception ends the loop."""
    parts = Parts()

    def crash(_: object) -> None:
        raise ZeroDivisionError

    parts.exchanges[0].script = crash
    with pytest.raises(ExceptionGroup) as crashed:
        await asyncio.wait_for(parts.loop.run(lambda _tier, _assets: None), 10)
    assert crashed.group_contains(ZeroDivisionError)
    await parts.refresher.close(0.1)
