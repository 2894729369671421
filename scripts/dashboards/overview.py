"""The dashboard Overview: requests, freshness, refreshes, exchanges and stores."""

from scripts.dashboards import readers, stores, works
from scripts.dashboards.board import INSTANCES, Row, dashboard
from scripts.dashboards.panels import Json, from_goal, stat
from scripts.dashboards.queries import ASKED, OF_READS, errors, latency


def board() -> Json:
    """Return the dashboard."""
    about = "Requests, freshness, refreshes, exchanges and stores of the price aggregator."
    rows = [
        *(_now(), readers.requests(), readers.reads(), readers.freshness()),
        *(works.refreshes(), works.exchanges(), stores.stores(), works.streams(), works.resources()),
    ]
    return dashboard("price-overview", "Prices: overview", about, [INSTANCES], rows)


def _now() -> Row:
    closed = [(None, "green"), (1, "red")]
    return Row(
        "Now",
        [
            stat(
                "Instances up",
                "Instances of the service that Prometheus reached at its last scrape.",
                'sum(up{@, job="aggregator"})',
                "none",
                [(None, "red"), (1, "green")],
                "InstanceDown",
            ),
            stat(
                "Alerts firing",
                "All firing alerts. The runbook has a section for each.",
                'sum(ALERTS{alertstate="firing"}) or vector(0)',
                "none",
                closed,
            ),
            stat("Requests", "Answered per second, without /health, /ready and /metrics.", ASKED, "reqps"),
            stat(
                "GET /prices, p95",
                "95 % of the answers are faster. The goal is 80 ms.",
                latency(0.95) + " >= 0",
                "s",
                from_goal(0.08, 0.1),
                "ApiSlow",
                empty="no requests",
            ),
            stat(
                "Server errors",
                "Share of requests answered 5xx. The goal is less than 0.1 %.",
                errors("5.."),
                "percentunit",
                from_goal(0.001, 0.01),
                "ApiErrors",
            ),
            stat(
                "Cache hits",
                "Share of the requested prices found in the local cache or the cache. The goal is more than 95 %.",
                f'sum(rate(price_reads_total{{@, found_in=~"near|cache"}}[@])) / {OF_READS}',
                "percentunit",
                [(None, "red"), (0.9, "orange"), (0.95, "green")],
                empty="no reads",
            ),
            stat(
                "Hot prices' age",
                "The age that 95 % do not exceed, in intervals: up to 1.5 is fresh, above 3 is an alert.",
                'max(instance_tier:price_age:intervals{@, tier="hot"} < +Inf)',
                "suffix: x",
                from_goal(1.5, 3),
                "HotTierStale",
            ),
            stat(
                "Breakers not closed",
                "Exchanges that are not called now, or are being probed.",
                "sum(price_circuit_breaker_state{@} != bool 0)",
                "none",
                closed,
                "ExchangeOpen",
            ),
        ],
    )
