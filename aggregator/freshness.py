"""How old the prices are that readers get, by tier: what /ready and the freshness metrics speak of."""

import math
from collections.abc import Sequence

import msgspec

from aggregator.metrics import Metrics
from aggregator.models import Price, Tier
from aggregator.tiers import Catalog

_ALLOWED_INTERVALS = 3


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
        if self.p95_age is None:
            return f"{self.assets - self.priced} of {self.assets} assets have no price yet"
        if self.p95_age > self.allowed_age:
            return f"p95 age is {self.p95_age:.1f} s, at most {self.allowed_age:g} s are allowed"
        return ""


class Freshness:
    """Remembers the newest exchange time of each asset's stored prices."""

    def __init__(self, catalog: Catalog, metrics: Metrics) -> None:
        self._catalog = catalog
        self._ages = {tier: metrics.age_at_replacement.labels(tier.value) for tier in Tier}
        self._newest: dict[str, float] = {}
        for tier, cadence in catalog.cadence.items():
            metrics.refresh_interval.labels(tier.value).set(cadence.interval)

    def note(self, price: Price, now: float) -> None:
        """Take note that `price` was stored at `now`, in the place of the one known so far."""
        known = self._newest.get(price.asset)
        if known is not None:
            self._ages[price.tier].observe(max(0.0, now - known))
        self.take([price])

    def take(self, prices: Sequence[Price]) -> None:
        """Know of `prices`, whoever stored them; an older one than is known changes nothing."""
        for price in prices:
            if price.timestamp > self._newest.get(price.asset, -math.inf):
                self._newest[price.asset] = price.timestamp

    def connected(self) -> None:
        """Nothing to do: what was known is still true."""

    def disconnected(self) -> None:
        """Nothing to do: prices grow old by themselves."""

    def by_tier(self, now: float) -> dict[Tier, TierFreshness]:
        """Return each tier that has assets, the hottest first."""
        found = {tier: self._of(tier, now) for tier in Tier}
        return {tier: freshness for tier, freshness in found.items() if freshness is not None}

    def _of(self, tier: Tier, now: float) -> TierFreshness | None:
        assets = self._catalog.of(tier)
        if not assets:
            return None
        ages = sorted(now - self._newest.get(asset.symbol, -math.inf) for asset in assets)
        p95 = max(0.0, ages[math.ceil(0.95 * len(ages)) - 1])
        cadence = self._catalog.cadence[tier]
        allowed = _ALLOWED_INTERVALS * cadence.interval
        priced = sum(age < math.inf for age in ages)
        return TierFreshness(len(assets), priced, p95 if p95 < math.inf else None, allowed, cadence.stale_after)
