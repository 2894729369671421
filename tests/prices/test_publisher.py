"""The publisher: which prices are published, in which order, and the outcomes for callers."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.models import NoPrice, Price, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.freshness import Freshness
from aggregator.prices.publisher import Publisher
from aggregator.resilience.group_commit import GroupCommit, Sinks
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.scripted import Store


class Parts:
    """A publisher and its two stores."""

    def __init__(self) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.cache, self.history = Store(), Store()
        self.freshness = Freshness(CATALOG, self.metrics)
        sinks = Sinks(
            GroupCommit("history", self.history, self.metrics), GroupCommit("cache", self.cache, self.metrics)
        )
        self.publisher = Publisher(self.cache.newest, sinks, self.freshness, self.metrics, lambda: NOW)

    def value(self, name: str, **labels: str) -> float:
        """Return a metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def priced(self) -> int:
        """Return how many hot assets have a price."""
        return self.freshness.by_tier(NOW)[Tier.HOT].priced


def priced_anew(known: Price, amount: str) -> Price:
    """Return the price after a ticker of the second exchange, whose clock is behind."""
    first, second = known.sources
    moved = msgspec.structs.replace(second, price=Decimal(amount))
    return msgspec.structs.replace(known, price=Decimal(amount), sources=(first, moved))


@pytest.fixture
def parts() -> Parts:
    """Return a publisher that knows no price."""
    return Parts()


async def test_history_comes_first(parts: Parts) -> None:
    """A price is written to the cache, which forwards it to all processes, only after history has it."""
    assert await parts.publisher.publish([price()], "auto") == {"btcusdt": price()}
    assert parts.history.written == parts.cache.written == [price()]
    assert parts.value("price_refresh_total", tier="hot", trigger_type="auto") == 1
    assert parts.priced() == 1


async def test_a_cache_that_is_away_keeps_no_price_from_history(parts: Parts) -> None:
    """A price counts as published although the cache fails; the failure is counted by store."""
    parts.cache.away = True
    assert await parts.publisher.publish([price()], "manual") == {"btcusdt": price()}
    assert parts.history.written == [price()]
    assert parts.value("price_store_errors_total", store="cache", reason="unavailable") == 1
    assert parts.value("price_refresh_total", tier="hot", trigger_type="manual") == 1
    assert parts.priced() == 1


async def test_a_price_that_history_does_not_take_is_not_published(parts: Parts) -> None:
    """A price that history refuses is not published; its outcome has the reason."""
    parts.history.away = True
    outcome = await parts.publisher.publish([price()], "manual")
    assert outcome == {"btcusdt": NoPrice("btcusdt", price().left_out, history_failing="away")}
    assert parts.cache.written == []
    assert parts.value("price_refresh_errors_total", tier="hot") == 1
    assert parts.value("price_store_errors_total", store="history", reason="unavailable") == 1
    assert parts.priced() == 0
    parts.history.away = False
    assert await parts.publisher.publish([price()], "manual") == {"btcusdt": price()}


async def test_a_price_that_is_no_newer_is_not_published(parts: Parts) -> None:
    """A price that is older, or of the same time, is not written; its outcome is the known price."""
    await parts.publisher.publish([price()], "auto")
    assert await parts.publisher.publish([price(amount="1")], "manual") == {"btcusdt": price()}
    assert await parts.publisher.publish([price(timestamp=NOW - 1)], "manual") == {"btcusdt": price()}
    assert parts.history.written == parts.cache.written == [price()]
    assert parts.value("price_refresh_total", tier="hot", trigger_type="manual") == 2


async def test_the_age_of_a_replaced_price_is_by_the_clock_of_the_process(parts: Parts) -> None:
    """Not by the machine's wall clock, which may have stepped."""
    for timestamp in (NOW - 7, NOW - 2):
        await parts.publisher.publish([price(timestamp=timestamp)], "auto")
    assert parts.value("price_age_at_replacement_seconds_sum", tier="hot") == 7


@pytest.mark.parametrize("triggers", [("auto", "push"), ("push", "manual")])
async def test_prices_that_are_written_at_the_same_time_have_different_times(
    parts: Parts, triggers: tuple[Trigger, Trigger]
) -> None:
    """A history that keeps the last of two prices of one time would have another one than readers got."""
    first, second = price(), priced_anew(price(), "79450.2")
    outcomes = await asyncio.gather(
        parts.publisher.publish([first], triggers[0]), parts.publisher.publish([second], triggers[1])
    )
    later = msgspec.structs.replace(second, timestamp=NOW + 0.001)
    assert list(outcomes) == [{"btcusdt": later}] * 2
    assert parts.history.written == parts.cache.written == [first, later]


async def test_a_refresh_with_older_tickers_does_not_follow_a_pushed_price(parts: Parts) -> None:
    """It is written with its own time, and the newer price is the outcome."""
    pushed, refreshed = price(), priced_anew(price(timestamp=NOW - 1), "79450.2")
    outcomes = await asyncio.gather(
        parts.publisher.publish([pushed], "push"), parts.publisher.publish([refreshed], "auto")
    )
    assert list(outcomes) == [{"btcusdt": pushed}] * 2
    assert parts.history.written == [pushed, refreshed]


async def test_each_price_of_a_batch_has_its_own_outcome(parts: Parts) -> None:
    """While history fails, the outcome of a price that is not newer is still the known price."""
    await parts.publisher.publish([price()], "auto")
    parts.history.away = True
    outcomes = await parts.publisher.publish([price(), price("ethusdt", tier=Tier.COLD)], "auto")
    assert outcomes["btcusdt"] == price()
    assert isinstance(outcomes["ethusdt"], NoPrice)
