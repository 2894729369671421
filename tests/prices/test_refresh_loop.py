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
from tests.parts.refreshing import Parts, until


class Backlog(LocalJobQueue):
    """Jobs that have been due for so many seconds, and no others."""

    def __init__(self, *waited: float) -> None:
        super().__init__(CATALOG, 1)
        self._left = [Job(Tier.HOT, (BTC.symbol,), time.monotonic() - seconds) for seconds in waited]
        self.all_done = asyncio.Event()

    async def next_job(self, tier: Tier) -> Job:
        """Return the next of them."""
        if not self._left or tier is not Tier.HOT:
            await asyncio.Event().wait()
        return self._left.pop(0)

    def pop_missed(self, tier: Tier) -> int:  # noqa: ARG002  # Work's signature
        """Return none."""
        return 0

    async def done(self, job: Job) -> None:  # noqa: ARG002  # Work's signature
        """Note when it was the last."""
        if not self._left:
            self.all_done.set()


async def test_start_fills_hot_then_medium_then_cold() -> None:
    """In this order, with bounded concurrency, and every asset is reported once."""
    catalog = assign([(f"s{number}", "", "") for number in range(100)], 5, 15, CADENCE)
    parts, filled = Parts(catalog, concurrency=4), Counter[Tier]()
    running = asyncio.create_task(parts.loop.run(lambda tier, assets: filled.update({tier: assets})))
    await until(lambda: filled.total() == 100)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    first_asked = list(dict.fromkeys(parts.exchanges[0].asked))
    assert set(first_asked[:5]) == {asset.symbol for asset in catalog.of(Tier.HOT)}
    cold = {asset.symbol for asset in catalog.of(Tier.COLD)}
    medium = [symbol for symbol in first_asked if symbol not in cold]
    assert set(medium) == {f"s{number}" for number in range(20)}
    assert first_asked.index("s20") > first_asked.index("s19") - 4
    # four of the tier being filled, and as many of a tier already on its schedule
    assert parts.exchanges[0].most_under_way <= 4 * 3
    assert filled == {Tier.HOT: 5, Tier.MEDIUM: 15, Tier.COLD: 80}
    assert len({price.asset for price in parts.cache.written}) == 100


@pytest.mark.parametrize(("waited", "asked"), [((60, 50), 1), ((60, -1), 2), ((60,), 1), ((60, -1, 60), 3)])
async def test_what_was_due_before_the_fill_is_done_by_it(waited: tuple[float, ...], asked: int) -> None:
    """Others' jobs of that time would ask for everything once more; the next turn of the same asset is its own."""
    queue = Backlog(*waited)
    parts = Parts(queue=queue)
    running = asyncio.create_task(parts.loop.run(lambda _tier, _assets: None))
    async with asyncio.timeout(10):
        await queue.all_done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    assert parts.exchanges[0].asked.count(BTC.symbol) == asked


async def test_every_asset_comes_round_and_round() -> None:
    """By schedule, as auto refreshes, evenly, none of them missed."""
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
    """The cold assets hang; the hot one goes on, each cold one is asked once, and the missed turns are counted."""
    cadence = {tier: Cadence(0.1) for tier in Tier}
    catalog = assign([(f"s{number}", "", "") for number in range(5)], 1, 0, cadence)
    parts = Parts(catalog, concurrency=2)
    filled = Counter[Tier]()
    running = asyncio.create_task(parts.loop.run(lambda tier, assets: filled.update({tier: assets})))
    await until(lambda: filled.total() == 5)
    for exchange in parts.exchanges:
        exchange.asked.clear()
        exchange.hang_but_for("s0")
    await until(lambda: parts.exchanges[0].asked.count("s0") >= 10)
    cold_asked = [symbol for symbol in parts.exchanges[0].asked if symbol != "s0"]
    assert len(cold_asked) == len(set(cold_asked)) <= 2  # the lane's two places, each held by one that hangs
    for exchange in parts.exchanges:
        exchange.let_go.set()
    await until(lambda: parts.value("price_refresh_missed_total", tier="cold") > 0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)


async def test_what_is_due_together_is_asked_for_in_one_call() -> None:
    """A hundred assets in ten seconds: ten in a call to each exchange, once all of them are filled at once."""
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
    """The others of the batch are stored after the grace; it has its price when that exchange answers after all."""
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
    """What nobody planned is not logged away."""
    parts = Parts()

    def crash(_: object) -> None:
        raise ZeroDivisionError

    parts.exchanges[0].script = crash
    with pytest.raises(ExceptionGroup) as crashed:
        await asyncio.wait_for(parts.loop.run(lambda _tier, _assets: None), 10)
    assert crashed.group_contains(ZeroDivisionError)
    await parts.refresher.close(0.1)
