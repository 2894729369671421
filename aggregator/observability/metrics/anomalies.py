"""The metrics of the search for unusual trades."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class AnomalyMetrics:
    """Counters and gauges of models and scoring, on `registry`. Seconds are of CPU time in the worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=registry, multiprocess_mode="livesum")

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        self.models = gauge("anomalies_models", "Assets that have a model.")
        self.waiting = gauge("anomalies_waiting", "Trades that wait to be scored.")
        self.fits_waiting = gauge("anomalies_fits_waiting", "Models that wait to be fitted.")
        self.scored = counter("anomalies_scored_total", "Trades scored.")
        self.scoring_seconds = counter("anomalies_scoring_seconds_total", "CPU time of scoring.")
        self.fits = counter("anomalies_fits_total", "Models fitted, and failures.", "outcome")
        self.fit_seconds = counter("anomalies_fit_seconds_total", "CPU time of fits.")
        self.dropped = counter(
            "anomalies_dropped_total", "Trades that were not scored because too many waited, or the worker was lost."
        )
        self.restarts = counter("anomalies_worker_restarts_total", "Worker processes that ended or did not answer.")
        for outcome in ("fitted", "failed"):
            self.fits.labels(outcome)
