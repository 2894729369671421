"""The age of the prices, by tier, for /ready and the freshness metrics; and how many exchanges trade each asset."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, Price, Reason, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.durations import Durations
from aggregator.ports import Exchange
from aggregator.prices.tiers import Catalog

_ALLOWED_INTERVALS = 3
_REPORTS_PER_INTERVAL = 10  # at most: with 100,000 assets, computing the gauges takes some 30 ms


class TierFreshness(msgspec.Struct, frozen=True):
    """The state of one tier. Ages are in seconds; None (JSON null) means that the p95 asset has no usable price."""

    assets: int
    priced: int
    p95_age: float | None
    allowed_age: float
    stale_after: float

    @property
    def trouble(self) -> str:
        """Problem of the tier, or an empty text: a tier is fresh while its p95 age is at most three intervals."""
        if self.p95_age is None and self.priced == self.assets:
            return "its prices are from the future: this machine's clock is behind"
        if self.p95_age is None:
            return f"{self.assets - self.priced} of {self.assets} assets have no price yet"
        if self.p95_age > self.allowed_age:
            return f"p95 age is {self.p95_age:.1f} s, at most {self.allowed_age:g} s are allowed"
        return ""


class VenueCoverage:
    """The number of exchanges that trade each asset, and the number that a price needs; empty until it is counted."""

    def __init__(self) -> None:
        self.need = 0
        self.venues: Mapping[str, int] = {}
        self.too_few: frozenset[str] = frozenset()  # symbols of the assets that can have no price
        self.listed: Mapping[str, int | None] = {}  # by exchange: how many assets it trades; None if unknown
        self.counts = 0  # how often it was counted or replaced

    def count(self, exchanges: Sequence[Exchange], assets: Iterable[Asset], need: int) -> None:
        """Count the exchanges that trade each asset; an exchange that does not know counts as trading it."""
        symbols = [asset.symbol for asset in assets]
        columns = [[exchange.trades(symbol) for symbol in symbols] for exchange in exchanges]
        self.listed = {one.name: _number_traded(column) for one, column in zip(exchanges, columns, strict=True)}
        rows = zip(symbols, *columns, strict=True)
        self.replace({symbol: sum(trades is not False for trades in row) for symbol, *row in rows}, need)

    def replace(self, venues: Mapping[str, int], need: int) -> None:
        """Set the number of exchanges by symbol, and how many of them a price needs."""
        self.need = need
        self.venues = venues
        self.too_few = frozenset(symbol for symbol, count in venues.items() if count < need)
        self.counts += 1


def _number_traded(answers: Sequence[bool | None]) -> int | None:
    return None if None in answers else sum(map(bool, answers))


class Freshness:
    """Tracks the newest timestamp of each asset's published prices.

    Assets that too few exchanges trade, according to `coverage`, do not make a tier stale.
    """

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        coverage: VenueCoverage | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._ages = {tier: metrics.age_at_replacement.labels(tier.value) for tier in Tier}
        self._metrics = metrics
        self._now = now
        self._newest: dict[str, float] = {}
        self._single: set[str] = set()  # symbols whose newest price has one source although more exchanges list them
        self._coverage = coverage or VenueCoverage()
        self._report_at = dict.fromkeys(catalog.cadence, -math.inf)
        for tier, cadence in catalog.cadence.items():
            metrics.refresh_interval.labels(tier.value).set(cadence.interval)

    def record(self, price: Price, now: float) -> None:
        """Record that `price` was published at `now`; observe the age of the price that it replaces."""
        known = self._newest.get(price.asset)
        if known is not None:
            self._ages[price.tier].observe(max(0.0, now - known))
        self.receive([price])

    def receive(self, prices: Sequence[Price]) -> None:
        """Record prices that this or another process has published; a price older than the known one is ignored.

        Exception: a known price ahead of our clock, made before the clock was set back, is replaced by any other.
        """
        latest = self._now() + FUTURE_TOLERANCE
        for price in prices:
            known = self._newest.get(price.asset, -math.inf)
            if price.timestamp > known or known > latest:
                self._newest[price.asset] = price.timestamp
                (self._single.add if _is_single(price) else self._single.discard)(price.asset)

    def connected(self) -> None:
        """Set the gauge: the feed of other processes' prices is connected."""
        self._metrics.feed_connected.labels("redis").set(1)

    def disconnected(self) -> None:
        """Set the gauge: the feed of other processes' prices is cut off. Known prices age as usual."""
        self._metrics.feed_connected.labels("redis").set(0)

    def report(self, now: float) -> None:
        """Set the gauges of each tier, at most ten times per interval."""
        for tier, cadence in self._catalog.cadence.items():
            if now < self._report_at[tier]:
                continue
            self._report_at[tier] = now + cadence.interval / _REPORTS_PER_INTERVAL
            found = self._of(tier, now)
            if found is not None:
                self._set(tier, found)

    def _set(self, tier: Tier, found: TierFreshness) -> None:
        self._metrics.tier_assets.labels(tier.value).set(found.assets)
        self._metrics.tier_unpriced.labels(tier.value).set(found.assets - found.priced)
        single = sum(asset.tier is tier for name in self._single if (asset := self._catalog.find(name)) is not None)
        self._metrics.single_source.labels(tier.value).set(single)
        self._metrics.tier_age.labels(tier.value).set(math.inf if found.p95_age is None else found.p95_age)

    def by_tier(self, now: float) -> dict[Tier, TierFreshness]:
        """Return the state of each tier that has assets, the hottest first."""
        found = {tier: self._of(tier, now) for tier in Tier}
        return {tier: freshness for tier, freshness in found.items() if freshness is not None}

    def _expected(self, tier: Tier) -> Sequence[Asset]:
        """Return the tier's assets that can have a price; all of them if none can."""
        assets, too_few = self._catalog.of(tier), self._coverage.too_few
        return [asset for asset in assets if asset.symbol not in too_few] or assets if too_few else assets

    def _of(self, tier: Tier, now: float) -> TierFreshness | None:
        assets = self._expected(tier)
        if not assets:
            return None
        newest = [self._newest.get(asset.symbol, -math.inf) for asset in assets]
        # A price ahead of our clock has an unknown age.
        ages = sorted(now - one if one <= now + FUTURE_TOLERANCE else math.inf for one in newest)
        p95 = max(0.0, ages[math.ceil(0.95 * len(ages)) - 1])
        cadence = self._catalog.cadence[tier]
        allowed = _ALLOWED_INTERVALS * cadence.interval
        priced = sum(one > -math.inf for one in newest)
        return TierFreshness(len(assets), priced, p95 if p95 < math.inf else None, allowed, cadence.stale_after)


def _is_single(price: Price) -> bool:
    """Whether the price has one source although other exchanges list the asset."""
    return len(price.sources) == 1 and any(one.reason is not Reason.NOT_LISTED for one in price.left_out)


class FreshnessMetrics:
    """Buffers the ages of served prices by tier, and the number of stale ones, until `flush`."""

    def __init__(self, catalog: Catalog, metrics: Metrics) -> None:
        self._ages = {tier: Durations(metrics.age_at_read.labels(tier.value)) for tier in Tier}
        self._stale_after = {tier: cadence.stale_after for tier, cadence in catalog.cadence.items()}
        self._stale = dict.fromkeys(Tier, 0)
        self._counters = {tier: metrics.stale_served.labels(tier.value) for tier in Tier}

    def add(self, tier: Tier, age: float) -> None:
        """Record that a price of this age (seconds) was served."""
        self._ages[tier].add(age)
        if age > self._stale_after[tier] or age < -FUTURE_TOLERANCE:
            self._stale[tier] += 1

    def flush(self) -> None:
        """Add the buffered figures to the metrics."""
        for tier, ages in self._ages.items():
            ages.flush()
            self._counters[tier].inc(self._stale[tier])
            self._stale[tier] = 0
