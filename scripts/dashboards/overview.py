"""The overview: is all well, and if not, where to look."""

from scripts.dashboards.board import INSTANCES, Json, Row, dashboard
from scripts.dashboards.panels import Panel, from_goal, lines, stat

_OURS = 'endpoint!~"/(health|ready|metrics)"'  # what was asked for prices, not for the service's own sake
_ASKED = f"sum(rate(price_api_requests_total{{@, {_OURS}}}[@]))"
_AGE_IN_INTERVALS = "instance_tier:price_age:intervals{@}"
_OF_READS = "(sum(rate(price_reads_total{@}[@])) > 0)"


def board() -> Json:
    """Return the dashboard."""
    about = "Requests, freshness, refreshes, exchanges and stores of the price aggregator."
    rows = [
        _now(),
        _requests(),
        _reads(),
        _freshness(),
        _refreshes(),
        _exchanges(),
        _history(),
        _stream(),
        _resources(),
    ]
    return dashboard("price-overview", "Prices: overview", about, [INSTANCES], rows)


def _errors(status: str) -> str:
    some = f'sum(rate(price_api_requests_total{{@, {_OURS}, status=~"{status}"}}[@]))'
    return f"({some} or vector(0)) / ({_ASKED} > 0)"


def _quantile(share: float, histogram: str, by: str = "", more: str = "") -> str:
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{@{more}}}[@])))"


def _latency(share: float) -> str:
    return _quantile(share, "price_api_request_duration_seconds", more=', endpoint="/prices"')


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
                "Of all alerts. The runbook has a section on each.",
                'sum(ALERTS{alertstate="firing"}) or vector(0)',
                "none",
                closed,
            ),
            stat("Requests", "Answered per second, without /health, /ready and /metrics.", _ASKED, "reqps"),
            stat(
                "GET /prices, p95",
                "19 of 20 answers are quicker. The goal is 80 ms.",
                _latency(0.95) + " >= 0",
                "s",
                from_goal(0.08, 0.1),
                "ApiSlow",
            ),
            stat(
                "Server errors",
                "Share of requests answered 5xx. The goal is less than 0.1 %.",
                _errors("5.."),
                "percentunit",
                from_goal(0.001, 0.01),
                "ApiErrors",
            ),
            stat(
                "Cache hits",
                "Share of the prices asked for that near memory or the cache had. The goal is more than 95 %.",
                f'sum(rate(price_reads_total{{@, found_in=~"near|cache"}}[@])) / {_OF_READS}',
                "percentunit",
                [(None, "red"), (0.9, "orange"), (0.95, "green")],
            ),
            stat(
                "Hot prices' age",
                "What 95 % do not exceed, in intervals: up to 1.5 is fresh, above 3 is an alert.",
                'max(instance_tier:price_age:intervals{@, tier="hot"} < +Inf)',
                "suffix: ×",
                from_goal(1.5, 3),
                "HotTierStale",
            ),
            stat(
                "Breakers not closed",
                "Exchanges that are left alone for now, or being probed.",
                "sum(price_circuit_breaker_state{@} != bool 0)",
                "none",
                closed,
                "ExchangeOpen",
            ),
        ],
    )


def _requests() -> Row:
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
                [(_latency(share), f"p{100 * share:g}") for share in (0.5, 0.95, 0.99)],
                "s",
                steps=from_goal(0.08, 0.1),
                alert="ApiSlow",
            ),
            lines(
                "Latency by endpoint, p95",
                "A /refresh waits for the exchanges; everything else should not.",
                [(_quantile(0.95, "price_api_request_duration_seconds", "endpoint"), "{{endpoint}}")],
                "s",
            ),
            lines(
                "Errors",
                "Share of requests answered 4xx (the caller's mistake) and 5xx (ours, or no price known)."
                " Lines: the goal, 0.1 %, and the alert, 1 %.",
                [(_errors("5.."), "5xx"), (_errors("4.."), "4xx")],
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


def _reads() -> Row:
    return Row(
        "Reads",
        [
            lines(
                "Where prices were found",
                "Prices asked for per second. Near memory answers at once; the cache is Redis; history is asked for what"
                " it has not; the exchanges for what nobody has; nowhere is a 503, or a gap in a list.",
                [("sum by (found_in) (rate(price_reads_total{@}[@]))", "{{found_in}}")],
                "suffix:/s",
            ),
            lines(
                "Hits",
                "Share of the prices asked for that near memory, or the cache behind it, had. Line: the goal, 95 %.",
                [
                    (f'sum(rate(price_reads_total{{@, found_in="near"}}[@])) / {_OF_READS}', "near memory"),
                    (
                        "sum(rate(price_cache_hits_total{@}[@])) / (sum(rate(price_cache_hits_total{@}[@]))"
                        " + sum(rate(price_cache_misses_total{@}[@])) > 0)",
                        "near memory or cache",
                    ),
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


def _freshness() -> Row:
    return Row(
        "Freshness",
        [
            lines(
                "Age now against the goal",
                "What the ages of 95 % of a tier's newest prices do not exceed, in intervals of the tier. Lines: above"
                " 1.5 a price says that it is stale; above 3 the hottest tier turns /ready to 503.",
                [(f"max by (tier) ({_AGE_IN_INTERVALS} < +Inf)", "{{tier}}")],
                "suffix: ×",
                steps=from_goal(1.5, 3),
                alert="HotTierStale",
            ),
            lines(
                "Age at read, p95",
                "How old a price was as a reader got it, in intervals of its tier. Line: above 1.5 it said to be stale.",
                [
                    (
                        f"{_quantile(0.95, 'price_age_at_read_seconds', 'tier')}"
                        " / on (tier) max by (tier) (price_refresh_interval_seconds{@})",
                        "{{tier}}",
                    )
                ],
                "suffix: ×",
                steps=from_goal(1.5),
                alert="HotTierStale",
            ),
            lines(
                "Stale prices served",
                "Share of the prices served that said to be stale.",
                [
                    (
                        "sum by (tier) (rate(price_stale_served_total{@}[@]))"
                        " / (sum by (tier) (rate(price_age_at_read_seconds_count{@}[@])) > 0)",
                        "{{tier}}",
                    )
                ],
                "percentunit",
                steps=from_goal(0.01),
                alert="HotTierStale",
            ),
            lines(
                "Age at replacement, p95",
                "How old a price was when its successor came, in intervals of its tier: 1 is ideal. The buckets end at"
                " 1.5 intervals (line): what matters is whether it goes beyond.",
                [
                    (
                        f"{_quantile(0.95, 'price_age_at_replacement_seconds', 'tier')}"
                        " / on (tier) max by (tier) (price_refresh_interval_seconds{@})",
                        "{{tier}}",
                    )
                ],
                "suffix: ×",
                steps=from_goal(1.5),
            ),
            lines(
                "Age at replacement, mean",
                "By the exchange's time stamp. Exact, where the p95 is read from a histogram.",
                [
                    (
                        "sum by (tier) (rate(price_age_at_replacement_seconds_sum{@}[@]))"
                        " / sum by (tier) (rate(price_age_at_replacement_seconds_count{@}[@]))",
                        "{{tier}}",
                    )
                ],
                "s",
            ),
            lines(
                "Assets without a price",
                "That never had one since the start, of those listed.",
                [("max by (tier) (price_tier_unpriced_assets{@})", "{{tier}}")],
                "none",
            ),
        ],
    )


def _refreshes() -> Row:
    return Row(
        "Refreshes",
        [
            lines(
                "Refreshes by tier and trigger",
                "Prices made per second: by the schedule (auto), for a read that found none (force), by POST /refresh"
                " (manual).",
                [("sum by (tier, trigger_type) (rate(price_refresh_total{@}[@]))", "{{tier}} {{trigger_type}}")],
                "suffix:/s",
                alert="NoRefresh",
            ),
            lines(
                "Refreshes without a price",
                "Failed: no exchange gave a usable price. Missed: left out, as the one before was not done.",
                [
                    ("sum by (tier) (rate(price_refresh_errors_total{@}[@]))", "{{tier}} failed"),
                    ("sum by (tier) (rate(price_refresh_missed_total{@}[@]))", "{{tier}} missed"),
                ],
                "suffix:/s",
                alert="NoRefresh",
            ),
            lines(
                "Time a refresh takes, p95",
                "From asking the exchanges to the last store.",
                [(_quantile(0.95, "price_refresh_duration_seconds", "tier"), "{{tier}}")],
                "s",
            ),
            lines(
                "Jobs",
                "Of the rota that refreshers share through Redis, per second: taken, claimed from a dead one, out of"
                " date, or its own while Redis is away. Empty without Redis.",
                [("sum by (tier, how) (rate(price_jobs_total{@}[@]))", "{{tier}} {{how}}")],
                "suffix:/s",
                width=12,
            ),
            lines(
                "Behind",
                "For how long the oldest unfinished job has been due. Empty without Redis.",
                [("max by (tier) (price_jobs_lag_seconds{@})", "{{tier}}")],
                "s",
                width=12,
            ),
        ],
    )


def _exchanges() -> Row:
    return Row(
        "Exchanges (more in Exchange detail)",
        [
            Panel(
                "state-timeline",
                "Circuit breakers",
                "Open: it failed too often in a row and is left alone. Half-open: it is being probed, a call at a time.",
                [("price_circuit_breaker_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                steps=[(None, "green"), (1, "red"), (2, "yellow")],
                values=[("0", "closed", "green"), ("1", "open", "red"), ("2", "half-open", "yellow")],
                alert="ExchangeOpen",
            ),
            lines(
                "Errors by exchange and type",
                "Calls per second that brought no ticker, or were not made. The lines at zero tell “none” from “no data”.",
                [
                    (
                        "sum by (exchange, error_type) (rate(price_exchange_errors_total{@}[@]))"
                        " or 0 * sum by (exchange) (rate(price_exchange_requests_total{@}[@]))",
                        "{{exchange}} {{error_type}}",
                    )
                ],
                "suffix:/s",
                alert="ExchangeOpen",
            ),
            lines(
                "Tickers rejected by reason",
                "Tickers per second that had no part in a price. The line at zero tells “none” from “no data”.",
                [
                    (
                        "sum by (exchange, reason) (rate(price_tickers_rejected_total{@}[@]))"
                        " or 0 * sum by (exchange) (rate(price_exchange_requests_total{@}[@]))",
                        "{{exchange}} {{reason}}",
                    )
                ],
                "suffix:/s",
            ),
        ],
    )


def _history() -> Row:
    return Row(
        "Stores",
        [
            lines(
                "Prices written",
                "Per second, into each store.",
                [("sum by (store) (rate(price_store_written_total{@}[@]))", "{{store}}")],
                "suffix:/s",
            ),
            lines(
                "Store calls that failed",
                "Per second, by the reason.",
                [("sum by (store, reason) (rate(price_store_errors_total{@}[@]))", "{{store}} {{reason}}")],
                "suffix:/s",
                alert="StoreFailing",
            ),
            lines(
                "Prices per write",
                "Prices that arrive during a write go out with the next: the slower a store, the larger its batches.",
                [
                    (
                        "sum by (store) (rate(price_store_batch_prices_sum{@}[@]))"
                        " / sum by (store) (rate(price_store_batch_prices_count{@}[@]))",
                        "{{store}} mean",
                    ),
                    (f"ceil({_quantile(0.95, 'price_store_batch_prices', 'store')})", "{{store}} p95"),
                ],
                "none",
            ),
            lines(
                "Outbox",
                "Prices waiting for DynamoDB, and dead letters: what it has refused for good.",
                [("sum(price_outbox_rows{@})", "waiting"), ("sum(price_dead_letters{@})", "dead letters")],
                "none",
                alert="DeadLetters",
            ),
            lines(
                "Outbox: how long the oldest has waited",
                "Line: the alert, 5 minutes.",
                [("max(price_outbox_oldest_age_seconds{@})", "oldest")],
                "s",
                steps=from_goal(300),
                alert="OutboxGrowing",
            ),
            lines(
                "Outbox: size, and what was lost",
                "Bytes in use of its file; prices given up because it was full, or that no history took, per second.",
                [
                    ("sum(price_outbox_bytes{@})", "bytes"),
                    ("sum(rate(price_outbox_refused_total{@}[@]))", "given up per second"),
                    ("sum(rate(price_history_lost_total{@}[@]))", "lost per second"),
                ],
                "short",
                alert="OutboxFull",
            ),
            lines(
                "DynamoDB latency",
                "One BatchWriteItem or one Query. Empty when the history is a SQLite file.",
                [
                    (_quantile(share, f"price_dynamodb_{way}_latency_seconds"), f"{way} p{100 * share:g}")
                    for way in ("write", "read")
                    for share in (0.5, 0.95)
                ],
                "s",
            ),
            lines(
                "DynamoDB capacity",
                "Units consumed per second, which is what DynamoDB charges for.",
                [(f"sum(rate(price_dynamodb_{way}_units_total{{@}}[@]))", way) for way in ("write", "read")],
                "suffix:/s",
            ),
            lines(
                "DynamoDB trouble",
                "Per second: calls that failed, and items that it handed back to be sent again.",
                [
                    ("sum(rate(price_dynamodb_errors_total{@}[@]))", "failed calls"),
                    ("sum(rate(price_dynamodb_retries_total{@}[@]))", "items sent again"),
                ],
                "suffix:/s",
            ),
        ],
    )


def _stream() -> Row:
    return Row(
        "Live prices",
        [
            lines(
                "Subscribers",
                "Who hears of every new price now, by how they are told.",
                [("sum by (kind) (price_stream_subscribers{@})", "{{kind}}")],
                "none",
                width=12,
            ),
            lines(
                "Dropped",
                "Per second: prices that a slow reader was spared, or readers cut off, by the reason.",
                [("sum by (reason) (rate(price_stream_dropped_total{@}[@]))", "{{reason}}")],
                "suffix:/s",
                width=12,
            ),
        ],
    )


def _resources() -> Row:
    def each(title: str, about: str, query: str, unit: str) -> Panel:
        return lines(title, about, [(query, "{{instance}}")], unit, width=6)

    return Row(
        "Resources",
        [
            each(
                "Processor time",
                "Of the service's processes; 100 % is one core.",
                "rate(process_cpu_seconds_total{@}[@]) and on (instance) price_build_info{@}",
                "percentunit",
            ),
            each(
                "Memory",
                "Resident memory of the service's processes.",
                "process_resident_memory_bytes{@} and on (instance) price_build_info{@}",
                "bytes",
            ),
            each(
                "Open files",
                "Files and connections the service's processes hold.",
                "process_open_fds{@} and on (instance) price_build_info{@}",
                "none",
            ),
            each(
                "Event loop lag, p99",
                "How late it does what is due; everybody in the process waits as long.",
                _quantile(0.99, "price_event_loop_lag_seconds", "instance"),
                "s",
            ),
            lines(
                "Machine",
                "Processor, memory and disk in use, of all there is.",
                [
                    ("price_system_cpu_usage_percent{@}", "processor ({{instance}})"),
                    ("price_system_memory_usage_percent{@}", "memory ({{instance}})"),
                    ("price_system_disk_usage_percent{@}", "disk ({{instance}})"),
                ],
                "percent",
                highest=100,
            ),
            Panel(
                "bargauge",
                "Processes by role",
                "Of each instance. One that refreshes is needed; any number may answer.",
                [("sum by (instance, role) (price_processes{@})", "{{role}} ({{instance}})")],
                "none",
                instant=True,
            ),
            Panel(
                "bargauge",
                "Versions",
                "How many instances run which.",
                [("count by (version, python) (price_build_info{@})", "{{version}} on Python {{python}}")],
                "none",
                instant=True,
            ),
        ],
    )
