"""Rows about answers: requests, where prices were found, freshness."""

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
                empty="No requests",
            ),
            lines(
                "Latency by endpoint, p95",
                "A /refresh waits for the exchanges; everything else should not.",
                [(quantile(0.95, "price_api_request_duration_seconds", "endpoint"), "{{endpoint}}")],
                "s",
                empty="No requests",
            ),
            lines(
                "Errors",
                "Share of requests answered 4xx (an error of the client) and 5xx (of the service, or no price known)."
                " Lines: the goal, 0.1 %, and the alert, 1 %.",
                [(errors("5.."), "5xx"), (errors("4.."), "4xx")],
                "percentunit",
                steps=from_goal(0.001, 0.01),
                alert="ApiErrors",
            ),
            lines(
                "Requests by instance",
                "All answers per second.",
                [("sum by (instance) (rate(price_api_requests_total{@}[@]))", "{{instance}}")],
                "reqps",
            ),
            lines(
                "Under way, and cut off",
                "Requests in progress, without those on the fast path; connections closed by the service per"
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
                "Requested prices per second. near: the local cache. cache: Redis. history: not in the cache."
                " Then the exchanges. Found nowhere: a 503, or missing from a list.",
                [("sum by (found_in) (rate(price_reads_total{@}[@]))", "{{found_in}}")],
                "suffix:/s",
            ),
            lines(
                "Hits",
                "Share of requested prices found in the local cache, or in it and the cache. Line: the goal, 95 %.",
                [
                    (f'sum(rate(price_reads_total{{@, found_in="near"}}[@])) / {OF_READS}', "local cache"),
                    (HITS, "local cache or cache"),
                ],
                "percentunit",
                steps=[(None, "red"), (0.95, "green")],
                highest=1,
                empty="No reads",
            ),
            Panel(
                "bargauge",
                "Most asked for",
                "Requested prices per second. All but the hot assets count as “other”.",
                [("topk(10, sum by (asset, tier) (rate(price_asset_access_total{@}[@])))", "{{asset}} ({{tier}})")],
                "suffix:/s",
                instant=True,
                empty="No reads",
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
                "The age that 95 % of a tier's newest prices do not exceed, in intervals of the tier. Lines: above"
                " 1.5 a price is stale; above 3 in the hottest tier, /ready is 503.",
                [(f"max by (tier) ({AGE_IN_INTERVALS} < +Inf)", "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5, 3),
                alert="HotTierStale",
            ),
            lines(
                "Age at read, p95",
                "Age of prices in answers, in intervals of the tier. Line: above 1.5 the answer says that it is stale.",
                [(in_intervals("price_age_at_read_seconds"), "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5),
                alert="HotTierStale",
                empty="No reads",
            ),
            lines(
                "Stale prices served",
                "Share of served prices that were stale.",
                [(STALE, "{{tier}}")],
                "percentunit",
                steps=from_goal(0.01),
                alert="HotTierStale",
                empty="No reads",
            ),
            lines(
                "Age at replacement, p95",
                "Age of a price when the next one replaced it, in intervals of its tier: 1 is ideal. The buckets end at"
                " 1.5 intervals (line): more than that is too late.",
                [(in_intervals("price_age_at_replacement_seconds"), "{{tier}}")],
                "suffix: x",
                steps=from_goal(1.5),
            ),
            lines(
                "Age at replacement, mean",
                "By the exchange's timestamp. Exact, unlike the p95, which comes from a histogram.",
                [(mean("price_age_at_replacement_seconds", "tier"), "{{tier}}")],
                "s",
            ),
            lines(
                "Assets without a price",
                "Listed assets that have had no price since the start.",
                [("max by (tier) (price_tier_unpriced_assets{@})", "{{tier}}")],
                "none",
            ),
            lines(
                "Assets with a single source",
                "Share of a tier's assets whose newest price is from one exchange although more list them. Above the"
                " line for five minutes is an alert.",
                [("max by (tier) (price_single_source_assets{@} / price_tier_assets{@})", "{{tier}}")],
                "percentunit",
                width=12,
                steps=from_goal(0.05),
                alert="SingleSource",
            ),
        ],
    )
