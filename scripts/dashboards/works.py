"""Rows about refreshes, exchanges, live prices and resources."""

from scripts.dashboards.board import Row
from scripts.dashboards.panels import Panel, lines
from scripts.dashboards.queries import or_none, quantile


def refreshes() -> Row:
    """Return the row."""
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
                "Failed: no exchange gave a usable price. Missed: skipped, because the previous one was not done.",
                [
                    ("sum by (tier) (rate(price_refresh_errors_total{@}[@]))", "{{tier}} failed"),
                    ("sum by (tier) (rate(price_refresh_missed_total{@}[@]))", "{{tier}} missed"),
                ],
                "suffix:/s",
                alert="NoRefresh",
            ),
            lines(
                "Time a refresh takes, p95",
                "From the calls of exchanges to the last store.",
                [(quantile(0.95, "price_refresh_duration_seconds", "tier"), "{{tier}}")],
                "s",
            ),
            lines(
                "Jobs",
                "Jobs of the schedule that refreshers share through Redis, per second: taken, claimed from a dead"
                " refresher, outdated, or own while Redis is unreachable. Empty without Redis.",
                [("sum by (tier, how) (rate(price_jobs_total{@}[@]))", "{{tier}} {{how}}")],
                "suffix:/s",
                width=12,
                empty="No Redis, or one process for all",
            ),
            lines(
                "Behind",
                "Time since the oldest unfinished job was due. Empty without Redis.",
                [("max by (tier) (price_jobs_lag_seconds{@})", "{{tier}}")],
                "s",
                width=12,
                empty="No Redis, or one process for all",
            ),
        ],
    )


def exchanges() -> Row:
    """Return the row."""
    return Row(
        "Exchanges (more in Exchange detail)",
        [
            Panel(
                "state-timeline",
                "Circuit breakers",
                "Open: too many failures in a row, no calls. Half-open: one probe at a time.",
                [("price_circuit_breaker_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                steps=[(None, "green"), (1, "red"), (2, "yellow")],
                values=[("0", "closed", "green"), ("1", "open", "red"), ("2", "half-open", "yellow")],
                alert="ExchangeOpen",
            ),
            errors_by_type("Errors by exchange and type"),
            lines(
                "Tickers rejected by reason",
                "Tickers per second without a part in a price. The line at zero distinguishes “none” from “no data”.",
                [(or_none("price_tickers_rejected_total", "reason"), "{{exchange}} {{reason}}")],
                "suffix:/s",
                alert="ExchangeRejected",
            ),
        ],
    )


def errors_by_type(title: str) -> Panel:
    """Return the panel of calls without a ticker by type of error, for two dashboards."""
    return lines(
        title,
        "Calls per second that returned no ticker, or were not made (breaker_open, rate_limited). The lines at zero"
        " distinguish “none” from “no data”.",
        [(or_none("price_exchange_errors_total", "error_type"), "{{exchange}} {{error_type}}")],
        "suffix:/s",
        alert="ExchangeOpen",
    )


def streams() -> Row:
    """Return the row."""
    return Row(
        "Live prices",
        [
            lines(
                "Streams open",
                "Open streams by kind.",
                [("sum by (kind) (price_stream_subscribers{@})", "{{kind}}")],
                "none",
                width=12,
            ),
            lines(
                "Spared and cut off",
                "Per second: prices that a slow subscriber skipped for newer ones; streams closed by the service.",
                [
                    ("sum(rate(price_stream_conflated_total{@}[@]))", "spared"),
                    ("sum(rate(price_stream_dropped_total{@}[@])) or vector(0)", "cut off"),
                ],
                "suffix:/s",
                width=12,
            ),
        ],
    )


def resources() -> Row:
    """Return the row."""

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
                "Open files and connections of the service's processes.",
                "process_open_fds{@} and on (instance) price_build_info{@}",
                "none",
            ),
            each(
                "Event loop lag, p99",
                "How late the event loop runs its callbacks. Everything in the process waits as long.",
                quantile(0.99, "price_event_loop_lag_seconds", "instance"),
                "s",
            ),
            lines(
                "Machine",
                "Used share of CPU, memory and disk.",
                [
                    ("price_system_cpu_usage_percent{@}", "processor ({{instance}})"),
                    ("price_system_memory_usage_percent{@}", "memory ({{instance}})"),
                    ("price_system_disk_usage_percent{@}", "disk {{path}} ({{instance}})"),
                ],
                "percent",
                highest=100,
            ),
            Panel(
                "bargauge",
                "Processes by role",
                "Of each instance. At least one must refresh; any number may answer.",
                [("sum by (instance, role) (price_processes{@})", "{{role}} ({{instance}})")],
                "none",
                instant=True,
            ),
            Panel(
                "bargauge",
                "Versions",
                "Number of instances by version.",
                [("count by (version, python) (price_build_info{@})", "{{version}} on Python {{python}}")],
                "none",
                instant=True,
            ),
        ],
    )
