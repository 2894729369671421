"""The metrics of alerts. `kind` is that of the rule: price, change, spread, anomaly or sentiment."""

from prometheus_client import CollectorRegistry, Counter, Gauge

KINDS = ("price", "change", "spread", "anomaly", "sentiment")


class AlertMetrics:
    """Counter and gauge of alerts, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fired = Counter("alerts_fired_total", "Alerts, by kind of their rule.", ["kind"], registry=registry)
        self.rules = Gauge(
            "alerts_rules", "Rules that this process evaluates.", registry=registry, multiprocess_mode="livemax"
        )
        for kind in KINDS:
            self.fired.labels(kind)
