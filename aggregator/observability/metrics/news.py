"""The metrics of news. `source` is the name of a source, such as `rss:example.com`."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class NewsMetrics:
    """Counters and gauges of news, on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.articles = Counter(
            "news_articles_total",
            "Articles that a source sent: new, no_asset, or refused (no_id, no_headline, no_date, future, old).",
            ["source", "outcome"],
            registry=registry,
        )
        self.joined = Counter(
            "news_joined_total",
            "Articles about an asset whose strength has risen to weak, moderate or strong.",
            ["strength"],
            registry=registry,
        )
        self.source_errors = Counter(
            "news_source_errors_total",
            "Calls of a source that gave no articles.",
            ["source", "reason"],
            registry=registry,
        )
        self.source_read = Gauge(
            "news_source_last_read_timestamp_seconds",
            "When a source last answered, by our clock.",
            ["source"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
