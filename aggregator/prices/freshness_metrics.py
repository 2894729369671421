"""How old the prices are that readers get."""

from aggregator.models import FUTURE_TOLERANCE, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.durations import Durations
from aggregator.prices.tiers import Catalog


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
