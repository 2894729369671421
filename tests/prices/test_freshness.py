"""Freshness: the p95 age of each tier, and when it is too old."""

import math

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.models import LeftOut, Price, Reason, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.freshness import Freshness, TierFreshness, VenueCoverage
from aggregator.prices.tiers import Catalog, assign
from tests.parts.examples import CADENCE, NOW, price
from tests.parts.scripted import ScriptedExchange


@pytest.fixture
def catalog() -> Catalog:
    """Twenty hot assets and one cold one."""
    return assign([(f"s{number}", "", "") for number in range(21)], 20, 0, CADENCE)


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics of its own."""
    return Metrics(CollectorRegistry())


def test_an_unpriced_tier_is_not_fresh(catalog: Catalog, metrics: Metrics) -> None:
    """A tier without prices has no p95 age and is in trouble; a tier without assets is absent."""
    assert Freshness(catalog, metrics).by_tier(NOW) == {
        Tier.HOT: TierFreshness(20, 0, None, 15.0, 7.5),
        Tier.COLD: TierFreshness(1, 0, None, 900.0, 450.0),
    }


def test_assets_without_a_price_are_reported_as_such(catalog: Catalog, metrics: Metrics) -> None:
    """Assets without a price are reported as such, not as too old."""
    freshness = Freshness(catalog, metrics)
    freshness.record(price("s0", NOW), NOW)
    assert freshness.by_tier(NOW)[Tier.HOT].trouble == "19 of 20 assets have no price yet"


def test_one_of_twenty_may_be_old(catalog: Catalog, metrics: Metrics) -> None:
    """The 95th percentile of twenty ages is the nineteenth, so two old prices are needed."""
    freshness = Freshness(catalog, metrics)
    for number in range(19):
        freshness.record(price(f"s{number}", NOW), NOW)
    assert freshness.by_tier(NOW + 15)[Tier.HOT] == TierFreshness(20, 19, 15.0, 15.0, 7.5)
    assert freshness.by_tier(NOW + 15)[Tier.HOT].trouble == ""
    assert freshness.by_tier(NOW + 15.1)[Tier.HOT].trouble == "p95 age is 15.1 s, at most 15 s are allowed"


def test_an_older_price_does_not_make_it_older(catalog: Catalog, metrics: Metrics) -> None:
    """The newest price counts; the age at replacement is that of the replaced price."""
    freshness = Freshness(catalog, metrics)
    for _ in range(20):
        freshness.record(price("s0", NOW), NOW)
    freshness.record(price("s20", NOW, tier=Tier.COLD), NOW)
    freshness.record(price("s20", NOW - 50, tier=Tier.COLD), NOW + 7)
    assert freshness.by_tier(NOW)[Tier.COLD].p95_age == 0
    total = metrics.registry.get_sample_value("price_age_at_replacement_seconds_sum", {"tier": "cold"})
    assert total == pytest.approx(7)


def test_untraded_assets_do_not_count(catalog: Catalog, metrics: Metrics) -> None:
    """An asset that too few exchanges trade does not count; if that is true of all assets, all count."""
    coverage, exchange = VenueCoverage(), ScriptedExchange("x")
    freshness = Freshness(catalog, metrics, coverage)
    traded = {f"s{number}" for number in range(12)}
    freshness.receive([price(symbol, NOW) for symbol in traded])
    assert freshness.by_tier(NOW)[Tier.HOT].trouble == "8 of 20 assets have no price yet"
    coverage.count([exchange], catalog.assets.values(), 1)
    assert freshness.by_tier(NOW)[Tier.HOT].assets == 20
    exchange.listing = traded
    coverage.count([exchange], catalog.assets.values(), 1)
    assert freshness.by_tier(NOW)[Tier.HOT] == TierFreshness(12, 12, 0.0, 15.0, 7.5)
    exchange.listing = set()
    coverage.count([exchange], catalog.assets.values(), 1)
    assert freshness.by_tier(NOW)[Tier.HOT].trouble == "8 of 20 assets have no price yet"


def gauge(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return a metric's value, or None if the series is absent."""
    return metrics.registry.get_sample_value(name, labels)


def test_the_gauges_of_a_tier(catalog: Catalog, metrics: Metrics) -> None:
    """Gauges per tier with assets: all, those without a price, and the p95 age (infinite without prices)."""
    freshness = Freshness(catalog, metrics)
    freshness.report(NOW)
    assert gauge(metrics, "price_tier_age_seconds", tier="hot") == math.inf
    assert gauge(metrics, "price_tier_unpriced_assets", tier="hot") == gauge(metrics, "price_tier_assets", tier="hot")
    assert gauge(metrics, "price_tier_assets", tier="medium") is None
    for number in range(19):
        freshness.record(price(f"s{number}", NOW), NOW)
    freshness.report(NOW + 4)
    assert gauge(metrics, "price_tier_age_seconds", tier="hot") == 4
    assert gauge(metrics, "price_tier_unpriced_assets", tier="hot") == 1
    assert gauge(metrics, "price_tier_assets", tier="hot") == 20


def test_a_tier_is_looked_at_ten_times_an_interval(catalog: Catalog, metrics: Metrics) -> None:
    """The gauges are computed at most ten times per interval, however often /metrics is read."""
    freshness = Freshness(catalog, metrics)
    freshness.report(NOW)
    freshness.receive([price(f"s{number}", NOW) for number in range(21)])
    freshness.report(NOW + 0.75)
    assert gauge(metrics, "price_tier_age_seconds", tier="hot") == 0.75
    assert gauge(metrics, "price_tier_age_seconds", tier="cold") == math.inf
    freshness.report(NOW + 30)
    assert gauge(metrics, "price_tier_age_seconds", tier="cold") == 30


def test_the_gauge_of_the_feed(catalog: Catalog, metrics: Metrics) -> None:
    """The gauge of the feed is absent in a process without one, else 1 or 0."""
    freshness = Freshness(catalog, metrics)
    assert gauge(metrics, "price_feed_connected", store="redis") is None
    freshness.connected()
    assert gauge(metrics, "price_feed_connected", store="redis") == 1
    freshness.disconnected()
    assert gauge(metrics, "price_feed_connected", store="redis") == 0


def alone(asset: str, timestamp: float, reason: Reason) -> Price:
    """Return a price of one exchange; another has no part in it for this reason."""
    made = price(asset, timestamp)
    return msgspec.structs.replace(made, sources=made.sources[:1], left_out=(LeftOut("exchange2", reason),))


def test_assets_with_a_single_source_are_counted(catalog: Catalog, metrics: Metrics) -> None:
    """Assets with one source count if more exchanges list them, by their current tier, until a price has more."""
    freshness = Freshness(catalog, metrics)

    def single(tier: str) -> float | None:
        return metrics.registry.get_sample_value("price_single_source_assets", {"tier": tier})

    freshness.receive([alone("s0", NOW, Reason.TIMEOUT), alone("s1", NOW, Reason.OUTLIER), price("s2", NOW)])
    freshness.receive([alone("s3", NOW, Reason.NOT_LISTED), alone("s20", NOW, Reason.LATE)])
    freshness.report(NOW)
    assert (single("hot"), single("cold")) == (2, 1)
    freshness.receive([price("s0", NOW + 1), price("s1", NOW - 1)])  # an older price changes nothing
    freshness.report(NOW + 5)
    assert (single("hot"), single("cold")) == (1, 1)


def test_a_price_ahead_of_the_clock_is_not_fresh(catalog: Catalog, metrics: Metrics) -> None:
    """A price ahead of the clock has an unknown age; the trouble names the clock, not a missing price."""
    freshness = Freshness(catalog, metrics)
    for number in range(20):
        freshness.record(price(f"s{number}", NOW), NOW)
    assert freshness.by_tier(NOW - 5)[Tier.HOT].trouble == ""
    hot = freshness.by_tier(NOW - 3600)[Tier.HOT]
    assert (hot.priced, hot.p95_age) == (20, None)
    assert hot.trouble == "its prices are from the future: this machine's clock is behind"


def test_a_price_ahead_of_the_clock_hides_no_other(catalog: Catalog, metrics: Metrics) -> None:
    """After a wrong clock is corrected, a price replaces one that is ahead of it."""
    freshness = Freshness(catalog, metrics, now=lambda: NOW)
    for number in range(20):
        freshness.receive([price(f"s{number}", NOW + 3600)])
    for number in range(20):
        freshness.receive([price(f"s{number}", NOW - 1)])
    assert freshness.by_tier(NOW)[Tier.HOT] == TierFreshness(20, 20, 1.0, 15.0, 7.5)
