"""How old the prices are that readers get, by tier: what /ready and the freshness metrics speak of."""

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
_TOLD_PER_INTERVAL = 10  # how often at most the metrics are told: of 100,000 assets, finding out takes some 30 ms


class TierFreshness(msgspec.Struct, frozen=True):
    """One tier now. Ages in seconds; an asset without a price counts as infinitely old (shown as null)."""

    assets: int
    priced: int
    p95_age: float | None
    allowed_age: float
    stale_after: float

    @property
    def trouble(self) -> str:
        """Say what is wrong, or nothing: a tier is fresh while its p95 age is at most three intervals."""
        if self.p95_age is None and self.priced == self.assets:
            return "its prices are from the future: this machine's clock is behind"
        if self.p95_age is None:
            return f"{self.assets - self.priced} of {self.assets} assets have no price yet"
        if self.p95_age > self.allowed_age:
            return f"p95 age is {self.p95_age:.1f} s, at most {self.allowed_age:g} s are allowed"
        return ""


class VenueCoverage:
    """How many exchanges trade each asset, and how many it takes; nothing, before it was counted or taken."""

    def __init__(self) -> None:
        self.need = 0
        self.venues: Mapping[str, int] = {}
        self.too_few: frozenset[str] = frozenset()  # the assets of which no price can be made
        self.counts = 0  # how often it was counted or taken

    def count(self, exchanges: Sequence[Exchange], assets: Iterable[Asset], need: int) -> None:
        """Ask each exchange what it trades; those that do not tell count as trading it."""
        trades = [exchange.trades for exchange in exchanges]
        self.replace({one.symbol: sum(trade(one.symbol) is not False for trade in trades) for one in assets}, need)

    def replace(self, venues: Mapping[str, int], need: int) -> None:
        """Know this and nothing else."""
        self.need = need
        self.venues = venues
        self.too_few = frozenset(symbol for symbol, count in venues.items() if count < need)
        self.counts += 1


class Freshness:
    """Remembers the newest exchange time of each asset's stored prices.

    What too few exchanges trade is not waited for, as far as `coverage` knows how many do.
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
        self._single: set[str] = set()  # whose newest price has one source although more exchanges list them
        self._coverage = coverage or VenueCoverage()
        self._tell_at = dict.fromkeys(catalog.cadence, -math.inf)
        for tier, cadence in catalog.cadence.items():
            metrics.refresh_interval.labels(tier.value).set(cadence.interval)

    def record(self, price: Price, now: float) -> None:
        """Take note that `price` was stored at `now`, in the place of the one known so far."""
        known = self._newest.get(price.asset)
        if known is not None:
            self._ages[price.tier].observe(max(0.0, now - known))
        self.receive([price])

    def receive(self, prices: Sequence[Price]) -> None:
        """Know of `prices`, whoever stored them; an older one than is known changes nothing.

        But for one known of the future, from before this machine's clock was set back.
        """
        latest = self._now() + FUTURE_TOLERANCE
        for price in prices:
            known = self._newest.get(price.asset, -math.inf)
            if price.timestamp > known or known > latest:
                self._newest[price.asset] = price.timestamp
                (self._single.add if _is_single(price) else self._single.discard)(price.asset)

    def connected(self) -> None:
        """Know from now on what others refresh; what was known is still true."""
        self._metrics.feed_connected.labels("redis").set(1)

    def disconnected(self) -> None:
        """Know of others no more; prices grow old by themselves."""
        self._metrics.feed_connected.labels("redis").set(0)

    def report(self, now: float) -> None:
        """Set the gauges of each tier of which it is time to."""
        for tier, cadence in self._catalog.cadence.items():
            if now < self._tell_at[tier]:
                continue
            self._tell_at[tier] = now + cadence.interval / _TOLD_PER_INTERVAL
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
        """Return each tier that has assets, the hottest first."""
        found = {tier: self._of(tier, now) for tier in Tier}
        return {tier: freshness for tier, freshness in found.items() if freshness is not None}

    def _waited_for(self, tier: Tier) -> Sequence[Asset]:
        """Return the tier's assets of which there can be a price; all where that would be none."""
        assets, too_few = self._catalog.of(tier), self._coverage.too_few
        return [asset for asset in assets if asset.symbol not in too_few] or assets if too_few else assets

    def _of(self, tier: Tier, now: float) -> TierFreshness | None:
        assets = self._waited_for(tier)
        if not assets:
            return None
        newest = [self._newest.get(asset.symbol, -math.inf) for asset in assets]
        # A price from the future is of unknown age.
        ages = sorted(now - one if one <= now + FUTURE_TOLERANCE else math.inf for one in newest)
        p95 = max(0.0, ages[math.ceil(0.95 * len(ages)) - 1])
        cadence = self._catalog.cadence[tier]
        allowed = _ALLOWED_INTERVALS * cadence.interval
        priced = sum(one > -math.inf for one in newest)
        return TierFreshness(len(assets), priced, p95 if p95 < math.inf else None, allowed, cadence.stale_after)


def _is_single(price: Price) -> bool:
    """Whether one exchange made it although others list the asset."""
    return len(price.sources) == 1 and any(one.reason is not Reason.NOT_LISTED for one in price.left_out)


class FreshnessMetrics:
    """Ages at read by tier, and how many were stale: in plain numbers, until they are handed on."""

    def __init__(self, catalog: Catalog, metrics: Metrics) -> None:
        self._ages = {tier: Durations(metrics.age_at_read.labels(tier.value)) for tier in Tier}
        self._stale_after = {tier: cadence.stale_after for tier, cadence in catalog.cadence.items()}
        self._stale = dict.fromkeys(Tier, 0)
        self._counters = {tier: metrics.stale_served.labels(tier.value) for tier in Tier}

    def add(self, tier: Tier, age: float) -> None:
        """Take note that a price of this age (seconds) was served."""
        self._ages[tier].add(age)
        if age > self._stale_after[tier] or age < -FUTURE_TOLERANCE:
            self._stale[tier] += 1

    def flush(self) -> None:
        """Hand on."""
        for tier, ages in self._ages.items():
            ages.flush()
            self._counters[tier].inc(self._stale[tier])
            self._stale[tier] = 0
