"""The refresh path: who is asked, when a price is made, where it goes, and what cannot hold up what."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from aggregator.models import LeftOut, NoPrice, Price, Reason, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Job
from aggregator.prices.freshness import Freshness
from aggregator.prices.publisher import Publisher
from aggregator.prices.refresher import Policy, Refresher, most_in_job
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Cadence, Catalog, assign
from aggregator.resilience.group_commit import GroupCommit, Sinks
from tests.parts.examples import BTC, CADENCE, CATALOG
from tests.parts.scripted import ScriptedExchange, Store

GRACE = 0.05


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


class Parts:
    """A refresher and everything around it."""

    def __init__(
        self,
        catalog: Catalog = CATALOG,
        lane: int = 8,
        min_sources: int = 1,
        batch: int = 1,
        work: LocalJobQueue | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.exchanges = [ScriptedExchange(f"exchange{number}", str(99 + number), batch=batch) for number in (1, 2, 3)]
        self.cache, self.history = Store(), Store()
        self.freshness = Freshness(catalog, self.metrics)
        sinks = Sinks(
            GroupCommit("history", self.history, self.metrics), GroupCommit("cache", self.cache, self.metrics)
        )
        self.refresher = Refresher(
            catalog,
            self.exchanges,
            work or LocalJobQueue(catalog, most_in_job(self.exchanges, lane)),
            self.cache,
            Publisher(self.cache.newest, sinks, self.freshness, self.metrics),
            self.freshness,
            self.metrics,
            Policy(Decimal("0.05"), min_sources, Decimal("0.5"), GRACE, lane),
            clock=clock,
        )

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    """Return a refresher with three sound exchanges."""
    parts = Parts()
    yield parts
    await parts.refresher.close(0.1)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_price_goes_to_every_sink(parts: Parts) -> None:
    """Three tickers, one price, in cache and history, counted by tier and trigger."""
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert price.price == 101
    assert parts.cache.written == parts.history.written == [price]
    assert parts.value("price_refresh_total", tier="hot", trigger_type="manual") == 1


async def test_callers_at_once_share_one_fetch(parts: Parts) -> None:
    """Defect 7 of the system before: a hundred callers, one call to each exchange."""
    prices = await asyncio.gather(*(parts.refresher.refresh(BTC, "manual") for _ in range(100)))
    assert len(set(map(id, prices))) == 1
    assert [exchange.asked for exchange in parts.exchanges] == [["btcusdt"]] * 3


async def test_a_hanging_exchange_costs_no_more_than_the_grace(parts: Parts) -> None:
    """The others' price comes without it, which is told; its call goes on, so that its own timeout can be counted."""
    parts.exchanges[2].hang()
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert [source.exchange for source in price.sources] == ["exchange1", "exchange2"]
    assert [(one.exchange, one.reason) for one in price.left_out] == [("exchange3", Reason.LATE)]
    assert parts.exchanges[2].under_way == 1
    assert parts.exchanges[2].cancelled == 0
    parts.exchanges[2].let_go.set()
    await until(lambda: parts.exchanges[2].under_way == 0)


async def test_refusals_alone_are_no_reason_to_hurry(parts: Parts) -> None:
    """Two that are down answer at once; the third, slower than the grace, is still waited for."""
    for exchange in parts.exchanges[:2]:
        exchange.refuse(Reason.UNREACHABLE)
    parts.exchanges[2].hang()
    asyncio.get_running_loop().call_later(4 * GRACE, parts.exchanges[2].let_go.set)
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert [source.exchange for source in price.sources] == ["exchange3"]


async def test_min_sources_keeps_waiting_for_the_second() -> None:
    """One ticker and one refusal are a majority but no price yet."""
    parts = Parts(min_sources=2)
    parts.exchanges[0].refuse(Reason.UNREACHABLE)
    parts.exchanges[2].hang()
    asyncio.get_running_loop().call_later(4 * GRACE, parts.exchanges[2].let_go.set)
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert len(price.sources) == 2
    await parts.refresher.close(0.1)


async def test_no_price_is_written_when_nobody_has_one(parts: Parts) -> None:
    """Defect 1 of the system before: nothing is stored, no zero, no null; it counts as an error of the tier."""
    for exchange in parts.exchanges:
        exchange.refuse(Reason.TIMEOUT)
    outcome = await parts.refresher.refresh(BTC, "force")
    assert isinstance(outcome, NoPrice)
    assert [one.reason for one in outcome.left_out] == [Reason.TIMEOUT] * 3
    assert parts.cache.written == parts.history.written == []
    assert parts.value("price_refresh_errors_total", tier="hot") == 1
    assert parts.value("price_tickers_rejected_total", exchange="exchange1", reason="timeout") == 1


async def test_a_caller_who_goes_away_does_not_stop_the_refresh(parts: Parts) -> None:
    """Its price is stored all the same."""
    parts.exchanges[2].hang()
    caller = asyncio.create_task(parts.refresher.refresh(BTC, "manual"))
    await until(lambda: parts.exchanges[2].under_way == 1)
    caller.cancel()
    parts.exchanges[2].let_go.set()
    await until(lambda: len(parts.cache.written) == 1)


async def test_start_fills_hot_then_medium_then_cold() -> None:
    """In this order, with bounded concurrency, and every asset is reported once."""
    catalog = assign([(f"s{number}", "", "") for number in range(100)], 5, 15, CADENCE)
    parts, filled = Parts(catalog, lane=4), Counter[Tier]()
    running = asyncio.create_task(parts.refresher.run(lambda tier, assets: filled.update({tier: assets})))
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
    work = Backlog(*waited)
    parts = Parts(work=work)
    running = asyncio.create_task(parts.refresher.run(lambda _tier, _assets: None))
    async with asyncio.timeout(10):
        await work.all_done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)
    assert parts.exchanges[0].asked.count(BTC.symbol) == asked


async def test_every_asset_comes_round_and_round() -> None:
    """By schedule, as auto refreshes, evenly, none of them missed."""
    cadence = {tier: Cadence(0.2) for tier in Tier}
    catalog = assign([(f"s{number}", "", "") for number in range(10)], 10, 0, cadence)
    parts = Parts(catalog)
    running = asyncio.create_task(parts.refresher.run(lambda _tier, _assets: None))
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
    parts = Parts(catalog, lane=2)
    filled = Counter[Tier]()
    running = asyncio.create_task(parts.refresher.run(lambda tier, assets: filled.update({tier: assets})))
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
    running = asyncio.create_task(parts.refresher.run(lambda _tier, _assets: None))
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
    running = asyncio.create_task(parts.refresher.run(lambda _tier, _assets: None))
    await until(lambda: len(parts.cache.written) == 2)
    assert {price.asset for price in parts.cache.written} == {"s0", "s2"}
    parts.exchanges[2].let_go.set()
    await until(lambda: "s1" in {price.asset for price in parts.cache.written})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await parts.refresher.close(1)


@pytest.mark.parametrize(
    ("batches", "lane", "most"),
    [([1000, 500, 200], 32, 100), ([1000, 20, 50], 32, 20), ([1000, 1], 32, 16), ([1], 2, 2)],
)
def test_a_job_is_as_large_as_the_exchanges_allow(batches: list[int], lane: int, most: int) -> None:
    """What all take in one call; a few where one of them takes one at a time."""
    assert most_in_job([ScriptedExchange("x", batch=batch) for batch in batches], lane) == most


async def test_a_crash_in_a_refresh_ends_the_run(parts: Parts) -> None:
    """What nobody planned is not logged away."""

    def crash(_: object) -> None:
        raise ZeroDivisionError

    parts.exchanges[0].script = crash
    with pytest.raises(ExceptionGroup) as crashed:
        await asyncio.wait_for(parts.refresher.run(lambda _tier, _assets: None), 10)
    assert crashed.group_contains(ZeroDivisionError)


async def test_closing_lets_what_is_under_way_finish(parts: Parts) -> None:
    """The refresh begun before is stored before close returns; a call nobody waits for is dropped."""
    parts.exchanges[2].hang()
    begun = asyncio.create_task(parts.refresher.refresh(BTC, "manual"))
    await until(lambda: parts.exchanges[2].under_way == 1)
    await parts.refresher.close(5)
    assert isinstance(await begun, Price)
    assert len(parts.history.written) == 1
    assert parts.exchanges[2].cancelled == 1
