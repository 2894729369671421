"""The read path: where a price is looked for, in which order, and what happens when a store fails."""

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
from tests.parts.limits import allowed
from tests.parts.scripted import Store

HOUR = 3600


class Refresher:
    """Records the requests, and returns `gives`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gives: Price | NoPrice = NoPrice("btcusdt")

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Return `gives` after a moment."""
        assert trigger == "force"
        self.asked.append(asset.symbol)
        await asyncio.sleep(0.01)
        return self.gives


class Parts:
    """A read path with its stores and metrics, at the time `now`."""

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
        """Return a metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def parts() -> Parts:
    """Return a read path without prices."""
    return Parts()


async def test_the_cache_answers_alone(parts: Parts) -> None:
    """A cached price needs neither history nor exchanges, and counts as a hit."""
    await parts.cache.write([price()])
    assert await parts.lookup.get(BTC) == price()
    assert parts.history.reads == 0
    assert parts.refresher.asked == []
    assert parts.value("price_cache_hits_total") == 1
    assert parts.value("price_asset_access_total", asset="btcusdt", tier="hot") == 1


async def test_history_answers_for_a_cache_that_forgot_or_is_away(parts: Parts) -> None:
    """A price comes from history if the cache has expired it or fails."""
    await parts.history.write([price()])
    assert await parts.lookup.get(BTC) == price()
    assert parts.cache.written == [price()]  # the next read is a hit
    assert await parts.lookup.get(BTC) == price()
    assert parts.history.reads == 1
    parts.cache.away = True
    assert await parts.lookup.get(BTC) == price()
    assert parts.refresher.asked == []
    assert parts.value("price_cache_misses_total") == 2
    assert parts.value("price_store_errors_total", store="cache", reason="unavailable") == 2


async def test_without_a_known_price_the_exchanges_are_asked(parts: Parts) -> None:
    """The exchanges are asked if no store has a price, or if both fail."""
    parts.refresher.gives = price()
    assert await parts.lookup.get(BTC) == price()
    parts.cache.away = parts.history.away = True
    assert await parts.lookup.get(BTC) == price()
    assert parts.refresher.asked == ["btcusdt", "btcusdt"]


async def test_a_history_that_hangs_is_passed_over(parts: Parts) -> None:
    """A read of history times out: the exchanges are asked, and lists lack what only history has."""
    parts.history.hanging = True
    parts.refresher.gives = price()
    async with asyncio.timeout(allowed(5)):
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


async def test_a_lookup_that_began_before_a_newer_price_returns_the_newer_one(parts: Parts) -> None:
    """Every caller of the lookup gets the newer price, also one that joins late."""
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
    """After a price has expired in the cache, no older one from a store is served."""
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
    """A price too far ahead was made by a wrong clock; it is not served and hides no other."""
    await parts.history.write([price(timestamp=NOW + 3600)])
    assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    await parts.cache.write([price()])
    assert await parts.lookup.get(BTC) == price()


async def test_where_a_price_was_found_is_counted(parts: Parts) -> None:
    """Each asset counts once per read, by place: near, cache, history, exchanges or nowhere."""

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
    """The timeout of history is shorter than a stopping process waits for its requests."""
    assert HISTORY_SECONDS < STOP_SECONDS


async def test_a_thousand_reads_without_a_price_refresh_once(parts: Parts) -> None:
    """A thousand concurrent reads cause one read of history and one refresh."""
    parts.refresher.gives = price()
    answers = await asyncio.gather(*(parts.lookup.get(BTC) for _ in range(1000)))
    assert answers == [price()] * 1000
    assert parts.history.reads == 1
    assert parts.refresher.asked == ["btcusdt"]


async def test_no_price_is_not_asked_for_again_at_once(parts: Parts) -> None:
    """Without a price the exchanges are asked at most once a second, however many reads there are."""
    for _ in range(5):
        assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    assert parts.refresher.asked == ["btcusdt"]
    parts.now += RETRY_AFTER
    parts.refresher.gives = price()
    assert await parts.lookup.get(BTC) == price()


async def test_a_price_that_is_gone_is_not_served_from_anywhere(parts: Parts) -> None:
    """A price of six intervals is served; an older one is not, from cache or history."""
    await parts.cache.write([price(timestamp=NOW)])
    await parts.history.write([price(timestamp=NOW)])
    parts.now = NOW + 30
    assert isinstance(await parts.lookup.get(BTC), Price)
    parts.now = NOW + 30.001
    assert await parts.lookup.get(BTC) == NoPrice("btcusdt")
    assert await parts.lookup.get_many([BTC]) == {}


async def test_a_list_comes_from_cache_and_history_only(parts: Parts) -> None:
    """A list costs one read of the cache and one of history; assets without a price are absent."""
    await parts.cache.write([price()])
    await parts.history.write([price("ethusdt", tier=Tier.COLD)])
    found = await parts.lookup.get_many([BTC, ETH])
    assert found == {"btcusdt": price(), "ethusdt": price("ethusdt", tier=Tier.COLD)}
    assert (parts.cache.reads, parts.history.reads) == (1, 1)
    assert parts.refresher.asked == []
    assert parts.value("price_cache_hits_total") == 1
    assert parts.value("price_cache_misses_total") == 1


async def test_assets_outside_the_hot_tier_share_a_label(parts: Parts) -> None:
    """Assets outside the hot tier share one label, so that the number of series is bounded."""
    await parts.lookup.get(ETH)
    assert parts.value("price_asset_access_total", asset="other", tier="cold") == 1


async def test_closing_waits_for_a_lookup(parts: Parts) -> None:
    """`close` waits for a lookup in progress."""
    parts.refresher.gives = price()
    asking = asyncio.create_task(parts.lookup.get(BTC))
    await asyncio.sleep(0)
    started = time.monotonic()
    await parts.lookup.close(60)
    assert await asking == price()
    assert time.monotonic() - started < 60
