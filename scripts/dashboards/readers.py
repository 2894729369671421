"""What readers get: how quickly, from where, and how old."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import Panel, from_goal, lines
from scripts.dashboards.queries import (
    AGE_IN_INTERVALS,
    HITS,
    OF_READS,
    STALE,
    errors,
    in_intervals,
    latency,
    mean,
    quantile,
)


def requests() -> Row:
    """Return the row."""
    return Row(
        "Requests",
        [
            lines(
                "Requests by endpoint and status",
                "Answered per second. The endpoint is the first part of the path.",
                [("sum by (endpoint, status) (rate(price_api_requests_total{@}[@]))", "{{endpoint}} {{status}}")],
                "reqps",
            ),
            lines(
                "Latency of GET /prices",
                "From the request to the last byte of the answer. Lines: the goals for p95 (80 ms) and p99 (100 ms).",
                [(latency(share), f"p{100 * share:g}") for share in (0.5, 0.95, 0.99)],
                "s",
                steps=from_goal(0.08, 0.1),
                alert="ApiSlow",
            ),
            lines(
                "Latency by endpoint, p95",
                "A /refresh waits for the exchanges; everything else should not.",
                [(quantile(0.95, "price_api_request_duration_seconds", "endpoint"), "{{endpoint}}")],
                "s",
            ),
            lines(
                "Errors",
                "Share of requests answered 4xx (the caller's mistake) and 5xx (ours, or no price known)."
                " Lines: the goal, 0.1 %, and the alert, 1 %.",
                [(errors("5.."), "5xx"), (errors("4.."), "4xx")],
                "percentunit",
                steps=from_goal(0.001, 0.01),
                alert="ApiErrors",
            ),
            lines(
                "Requests by instance",
                "Answered per second, all of them.",
                [("sum by (instance) (rate(price_api_requests_total{@}[@]))", "{{instance}}")],
                "reqps",
            ),
            lines(
                "Under way, and cut off",
                "Requests being answered, but for those answered from memory on the spot; connections ended by us per"
                " second: slow, too large, unread, malformed, or too many.",
                [
                    ("sum(price_api_requests_in_flight{@})", "under way"),
                    ("sum(rate(price_api_connections_cut_total{@}[@])) or vector(0)", "cut off per second"),
                ],
                "none",
            ),
        ],
    )


def reads() -> Row:
    """Return the row."""
    return Row(
        "Reads",
        [
            lines(
                "Where prices were found",
                "Prices asked for per second. Near memory answers at once; the cache is Redis; history is asked for"
                " what it has not; the exchanges for what nobody has; nowhere is a 503, or a gap in a list.",
                [("sum by (found_in) (rate(price_reads_total{@}[@]))", "{{found_in}}")],
                "suffix:/s",
            ),
            lines(
                "Hits",
                "Share of the prices asked for that near memory, or the cache behind it, had. Line: the goal, 95 %.",
                [
                    (f'sum(rate(price_reads_total{{@, found_in="near"}}[@])) / {OF_READS}', "near memory"),
                    (HITS, "near memory or cache"),
                ],
                "percentunit",
                steps=[(None, "red"), (0.95, "green")],
                highest=1,
            ),
            Panel(
                "bargauge",
                "Most asked for",
                "Prices asked for per second; all but the hot assets count as “other”.",
                [("topk(10, sum by (asset, tier) (rate(price_asset_access_total{@}[@])))", "{{asset}} ({{tier}})")],
                "suffix:/s",
                instant=True,
            ),
        ],
    )


def freshness() -> Row:
    """Return the row."""
    return Row(
        "Freshness",
        [
            lines(
                "Age now against the goal",
                "What the ages of 95 % of a tier's newest prices do not exceed, in intervals of the tier. Lines: above"
                " 1.5 a price says that it is stale; above 3 the hottest tier turns /ready to 503.",
                [(f"max by (tier) ({AGE_IN_INTERVALS} < +Inf)", "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5, 3),
                alert="HotTierStale",
            ),
            lines(
                "Age at read, p95",
                "How old a price was as a reader got it, in intervals of its tier. Line: above 1.5 it said so.",
                [(in_intervals("price_age_at_read_seconds"), "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5),
                alert="HotTierStale",
            ),
            lines(
                "Stale prices served",
                "Share of the prices served that said to be stale.",
                [(STALE, "{{tier}}")],
                "percentunit",
                steps=from_goal(0.01),
                alert="HotTierStale",
            ),
            lines(
                "Age at replacement, p95",
                "How old a price was when its successor came, in intervals of its tier: 1 is ideal. The buckets end at"
                " 1.5 intervals (line): what matters is whether it goes beyond.",
                [(in_intervals("price_age_at_replacement_seconds"), "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5),
            ),
            lines(
                "Age at replacement, mean",
                "By the exchange's time stamp. Exact, where the p95 is read from a histogram.",
                [(mean("price_age_at_replacement_seconds", "tier"), "{{tier}}")],
                "s",
            ),
            lines(
                "Assets without a price",
                "That never had one since the start, of those listed.",
                [("max by (tier) (price_tier_unpriced_assets{@})", "{{tier}}")],
                "none",
            ),
            lines(
                "Assets with a single source",
                "Share of a tier's assets whose newest price is of one exchange although more list them. Above the line"
                " for five minutes it is an alert.",
                [("max by (tier) (price_single_source_assets{@} / price_tier_assets{@})", "{{tier}}")],
                "percentunit",
                width=12,
                steps=from_goal(0.05),
                alert="SingleSource",
            ),
        ],
    )
