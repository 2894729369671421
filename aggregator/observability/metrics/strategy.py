"""The metrics of the paper strategy."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class StrategyMetrics:
    """Counters and gauges of paper trading, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.signals = Counter(
            "strategy_signals_total",
            "Signals of the paper strategy stored, by side and by reason: drop, gain or stop.",
            ["side", "reason"],
            registry=registry,
        )
        self.closed = Counter(
            "strategy_positions_closed_total",
            "Paper positions closed: won is one with a profit above 0.",
            ["outcome"],
            registry=registry,
        )
        self.open = Gauge(
            "strategy_open_positions", "Paper positions open.", registry=registry, multiprocess_mode="livesum"
        )
        self.reloaded = Counter(
            "strategy_assets_reloaded_total",
            "Assets whose paper positions were read again, because a signal was not stored.",
            registry=registry,
        )
        for side, reason in (("buy", "drop"), ("sell", "gain"), ("sell", "stop")):
            self.signals.labels(side, reason)
        for outcome in ("won", "lost"):
            self.closed.labels(outcome)
