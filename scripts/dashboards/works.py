"""What goes on behind: refreshes, exchanges, live prices, resources."""

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
                [(quantile(0.95, "price_refresh_duration_seconds", "tier"), "{{tier}}")],
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


def exchanges() -> Row:
    """Return the row."""
    return Row(
        "Exchanges (more in Exchange detail)",
        [
            Panel(
                "state-timeline",
                "Circuit breakers",
                "Open: it failed too often in a row and is left alone. Half-open: it is probed, a call at a time.",
                [("price_circuit_breaker_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                steps=[(None, "green"), (1, "red"), (2, "yellow")],
                values=[("0", "closed", "green"), ("1", "open", "red"), ("2", "half-open", "yellow")],
                alert="ExchangeOpen",
            ),
            errors_by_type("Errors by exchange and type"),
            lines(
                "Tickers rejected by reason",
                "Tickers per second that had no part in a price. The line at zero tells “none” from “no data”.",
                [(or_none("price_tickers_rejected_total", "reason"), "{{exchange}} {{reason}}")],
                "suffix:/s",
                alert="ExchangeRejected",
            ),
        ],
    )


def errors_by_type(title: str) -> Panel:
    """Return the panel of what kept calls from bringing a ticker, which two dashboards show."""
    return lines(
        title,
        "Calls per second that brought no ticker, or were not made (breaker_open, rate_limited). The lines at zero tell"
        " “none” from “no data”.",
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
                "Who hears of every new price now, by how they are told.",
                [("sum by (kind) (price_stream_subscribers{@})", "{{kind}}")],
                "none",
                width=12,
            ),
            lines(
                "Spared and cut off",
                "Per second: prices that a slow reader was spared, as a newer one had come; streams ended by us.",
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
                "Files and connections the service's processes hold.",
                "process_open_fds{@} and on (instance) price_build_info{@}",
                "none",
            ),
            each(
                "Event loop lag, p99",
                "How late it does what is due; everybody in the process waits as long.",
                quantile(0.99, "price_event_loop_lag_seconds", "instance"),
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
