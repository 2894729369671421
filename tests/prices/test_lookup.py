"""The read path: where a price is looked for, in which order, and who may be away."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.server.server import STOP_SECONDS
from aggregator.clock import SteadyClock
from aggregator.models import Asset, NoPrice, Price, Tier
from aggregator.observability.metrics import FOUND_IN, Metrics
from aggregator.ports import Trigger
from aggregator.prices.lookup import HISTORY_SECONDS, RETRY_AFTER, Lookup
from aggregator.prices.ranking import AccessCounts
from tests.parts.examples import BTC, CATALOG, ETH, NOW, price
from tests.parts.scripted import Store

HOUR = 3600


class Refresher:
    """Counts who asks and gives what it is told to give."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gives: Price | NoPrice = NoPrice("btcusdt")

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Answer after a turn of the loop."""
        assert trigger == "force"
        self.asked.append(asset.symbol)
        await asyncio.sleep(0.01)
        return self.gives


class Parts:
    """A read path and everything behind it, at a time that goes when told."""

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self.now = NOW
        self.cache, self.history, self.refresher = Store(), Store(), Refresher()
        self.metrics = Metrics(CollectorRegistry())
        self.lookup = Lookup(
            CATALOG,
            self.cache,
            self.history,
            self.refresher,
            self.metrics,
            AccessCounts(self.metrics),
            lambda: self.now,
            lambda: self.now,
            history_seconds=0.05,
            clock_repeats=lambda: clock is not None and clock.repeats,
        )

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def parts() -> Parts:
    """Return an empty read path."""
    return Parts()


async def test_the_cache_answers_alone(parts: Parts) -> None:
    """Neither history nor exchanges are asked; it counts as a hit."""
    await parts.cache.write([price()])
    assert await parts.lookup.get(BTC) == price()
    assert parts.history.reads == 0
    assert parts.refresher.asked == []
    assert parts.value("price_cache_hits_total") == 1
    assert parts.value("price_asset_access_total", asset="btcusdt", tier="hot") == 1


async def test_history_answers_for_a_cache_that_forgot_or_is_away(parts: Parts) -> None:
    """Defect 10 of the system before: Redis down was a 500 although the database could answer."""
    await parts.history.write([price()])
    assert await parts.lookup.get(BTC) == price()
    assert parts.cache.written == [price()]  # the next one is a hit
    assert await parts.lookup.get(BTC) == price()
    assert parts.history.reads == 1
    parts.cache.away = True
    assert await parts.lookup.get(BTC) == price()
    assert parts.refresher.asked == []
    assert parts.value("price_cache_misses_total") == 2
    assert parts.value("price_store_errors_total", store="cache", reason="unavailable") == 2


async def test_with_nothing_known_the_exchanges_are_asked(parts: Parts) -> None:
    """Even with both stores away."""
    parts.refresher.gives = price()
    assert await parts.lookup.get(BTC) == price()
    parts.cache.away = parts.history.away = True
    assert await parts.lookup.get(BTC) == price()
    assert parts.refresher.asked == ["btcusdt", "btcusdt"]


async def test_a_history_that_hangs_is_passed_over(parts: Parts) -> None:
    """In bounded time, as one that is away: the exchanges are asked, and lists come without what only it has."""
    parts.history.hanging = True
    parts.refresher.gives = price()
    async with asyncio.timeout(5):
        assert await parts.lookup.get(BTC) == price()
        assert await parts.lookup.get_many([BTC, ETH]) == {"btcusdt": price()}
        parts.refresher.gives = NoPrice("ethusdt")
        assert await parts.lookup.get(ETH) == NoPrice("ethusdt")
    assert parts.value("price_store_errors_total", store="history", reason="unavailable") == 3


async def test_history_is_not_read_while_the_clock_repeats_an_hour() -> None:
    """After the clock was set back by an hour, a price of the first pass looks as young as one of the second."""
    now = NOW
    clock = SteadyClock(lambda: now, lambda: NOW)
    parts = Parts(clock)
    await parts.history.write([price(timestamp=NOW)])
    assert await parts.lookup.get_many([BTC]) == {"btcusdt": price(timestamp=NOW)}
    now = NOW - HOUR
    clock.witness([now])
    parts = Parts(clock)
    await parts.history.write([price(timestamp=NOW)])
    assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    assert await parts.lookup.get_many([BTC]) == {}
    assert (parts.history.reads, parts.refresher.asked) == (0, ["btcusdt"])


async def test_a_search_that_began_before_a_newer_price_does_not_answer_the_older_one(parts: Parts) -> None:
    """Readers who join it late get the newer price too, whatever the search has found."""
    await parts.history.write([price()])
    parts.history.slow = asyncio.Event()
    newer = price(timestamp=NOW + 1)
    first = asyncio.create_task(parts.lookup.get(BTC))
    await parts.history.asked.wait()
    await parts.cache.write([newer])
    late = asyncio.create_task(parts.lookup.get_many([BTC]))
    await asyncio.sleep(0)
    parts.history.slow.set()
    assert await first == newer
    assert await late == {"btcusdt": newer}


async def test_an_expired_price_is_still_the_least_that_is_answered() -> None:
    """The cache forgets a price after its TTL; a store that returns an older one must not take readers back in time."""
    parts = Parts()
    newer = price(timestamp=NOW + 1)
    await parts.cache.write([newer])
    assert await parts.lookup.get(BTC) == newer
    parts.cache.forget()
    await parts.history.write([price()])
    assert await parts.lookup.get(BTC) == newer
    assert await parts.lookup.get_many([BTC]) == {"btcusdt": newer}
    parts.history.away = True
    parts.cache.forget()
    assert await parts.lookup.get(BTC) == newer


async def test_a_price_ahead_of_our_clock_is_not_served(parts: Parts) -> None:
    """It was made by a clock that was wrong; it hides no price of the right time."""
    await parts.history.write([price(timestamp=NOW + 3600)])
    assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    await parts.cache.write([price()])
    assert await parts.lookup.get(BTC) == price()


async def test_where_a_price_was_found_is_counted(parts: Parts) -> None:
    """Each asset asked for once, alone or in a list: near, in the cache, in history, at the exchanges, or nowhere."""

    def found() -> dict[str, float]:
        return {place: count for place in FOUND_IN if (count := parts.value("price_reads_total", found_in=place))}

    await parts.lookup.get(BTC)
    assert found() == {"nowhere": 1}
    parts.now += RETRY_AFTER
    parts.refresher.gives = price(timestamp=parts.now)
    await parts.lookup.get(BTC)
    await parts.history.write([price(timestamp=parts.now)])
    await parts.lookup.get_many([BTC, ETH])
    await parts.lookup.get_many([BTC, ETH])
    parts.cache.near = True
    await parts.lookup.get(BTC)
    assert found() == {"nowhere": 3, "exchanges": 1, "history": 1, "cache": 1, "near": 1}
    assert parts.value("price_cache_hits_total") == 2
    assert parts.value("price_age_at_read_seconds_count", tier="hot") == 4


def test_the_bound_leaves_time_to_answer() -> None:
    """A process told to stop waits longer for its requests."""
    assert HISTORY_SECONDS < STOP_SECONDS


async def test_a_thousand_readers_of_nothing_ask_once(parts: Parts) -> None:
    """One read of history, one refresh: no stampede."""
    parts.refresher.gives = price()
    answers = await asyncio.gather(*(parts.lookup.get(BTC) for _ in range(1000)))
    assert answers == [price()] * 1000
    assert parts.history.reads == 1
    assert parts.refresher.asked == ["btcusdt"]


async def test_no_price_is_not_asked_for_again_at_once(parts: Parts) -> None:
    """For a second the refusal stands; an asset nobody prices must not turn readers into load on the exchanges."""
    for _ in range(5):
        assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    assert parts.refresher.asked == ["btcusdt"]
    parts.now += RETRY_AFTER
    parts.refresher.gives = price()
    assert await parts.lookup.get(BTC) == price()


async def test_a_price_that_is_gone_is_not_served_from_anywhere(parts: Parts) -> None:
    """Six intervals old is stale and served; older is gone, in cache and history alike."""
    await parts.cache.write([price(timestamp=NOW)])
    await parts.history.write([price(timestamp=NOW)])
    parts.now = NOW + 30
    assert isinstance(await parts.lookup.get(BTC), Price)
    parts.now = NOW + 30.001
    assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    assert await parts.lookup.get_many([BTC]) == {}


async def test_many_come_from_cache_and_history_without_asking_anyone(parts: Parts) -> None:
    """One read of each; the unknown are left out."""
    await parts.cache.write([price()])
    await parts.history.write([price("ethusdt", tier=Tier.COLD)])
    found = await parts.lookup.get_many([BTC, ETH])
    assert found == {"btcusdt": price(), "ethusdt": price("ethusdt", tier=Tier.COLD)}
    assert (parts.cache.reads, parts.history.reads) == (1, 1)
    assert parts.refresher.asked == []
    assert parts.value("price_cache_hits_total") == 1
    assert parts.value("price_cache_misses_total") == 1


async def test_assets_outside_the_hot_tier_share_a_label(parts: Parts) -> None:
    """The list may be a hundred thousand long; the metrics may not."""
    await parts.lookup.get(ETH)
    assert parts.value("price_asset_access_total", asset="other", tier="cold") == 1


async def test_closing_waits_for_a_search(parts: Parts) -> None:
    """Who asked before still gets his answer."""
    parts.refresher.gives = price()
    asking = asyncio.create_task(parts.lookup.get(BTC))
    await asyncio.sleep(0)
    started = time.monotonic()
    await parts.lookup.close(5)
    assert await asking == price()
    assert time.monotonic() - started < 5
