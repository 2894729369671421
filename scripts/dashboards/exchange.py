"""One exchange, or several side by side: what it is asked, what it answers, and what becomes of that."""

from scripts.dashboards.board import EXCHANGES, INSTANCES, Json, Row, dashboard
from scripts.dashboards.panels import Panel, Query, from_goal, lines

_STATES = [("0", "closed", "green"), ("1", "open", "red"), ("2", "half-open", "yellow")]
_STATE_STEPS = [(None, "green"), (1.0, "red"), (2.0, "yellow")]
_CALLS = "sum by (exchange) (rate(price_exchange_requests_total{@}[@]))"
_SHARE = "(sum by (exchange) (rate(price_exchange_errors_total{@}[@])) or 0 * " + _CALLS + ")"
_IDLE = "time() - max by (exchange) (price_exchange_last_ticker_timestamp_seconds{@})"
_CLOCK = "time() - max by (exchange) (price_exchange_newest_ticker_timestamp_seconds{@})"


def board() -> Json:
    """Return the dashboard."""
    about = "Each exchange: calls, errors, latency, breaker, pauses it asked for, and tickers that did not count."
    return dashboard(
        "price-exchange", "Prices: exchange detail", about, [INSTANCES, EXCHANGES], [_now(), _calls(), _tickers()]
    )


def _latency(share: float) -> str:
    buckets = "sum by (le, exchange) (rate(price_exchange_request_duration_seconds_bucket{@}[@]))"
    return f"histogram_quantile({share}, {buckets})"


def _each(title: str, about: str, query: str, unit: str, **more: object) -> Panel:
    """One number of each exchange, now."""
    shown = {"width": 4, "height": 5, "lowest": None} | more
    return Panel("stat", title, about, [(query, "{{exchange}}")], unit, **shown)  # type: ignore[arg-type]  # by name


def _now() -> Row:
    return Row(
        "Now",
        [
            _each(
                "Breaker",
                "The worst of all refreshers.",
                "max by (exchange) (price_circuit_breaker_state{@})",
                "none",
                steps=_STATE_STEPS,
                values=_STATES,
                alert="ExchangeOpen",
            ),
            _each("Idle", "Since it last gave a ticker.", _IDLE, "s", steps=from_goal(10, 60), alert="ExchangeOpen"),
            _each(
                "Its clock",
                "How old the newest time on its tickers is: one that grows while it answers is a clock that stands.",
                _CLOCK,
                "s",
                steps=from_goal(10, 60),
            ),
            _each(
                "Quiet",
                "For how much longer it is not asked because it has said so, as of the last call.",
                "max by (exchange) (price_exchange_quiet_seconds{@})",
                "s",
                steps=from_goal(1, 60),
            ),
            _each("Calls", "Sent per second.", _CALLS, "reqps"),
            _each("Latency, p95", "Of calls that brought a ticker.", _latency(0.95), "s", steps=from_goal(0.5, 1)),
        ],
    )


def _calls() -> Row:
    by_type = "sum by (exchange, error_type) (rate(price_exchange_errors_total{@}[@])) or 0 * " + _CALLS
    latencies: list[Query] = [(_latency(share), f"{{{{exchange}}}} p{100 * share:g}") for share in (0.5, 0.95, 0.99)]
    return Row(
        "Calls",
        [
            lines("Calls", "Sent per second; an open breaker sends none.", [(_CALLS, "{{exchange}}")], "reqps"),
            lines(
                "Errors by type",
                "Calls per second that brought no ticker, or were not made (breaker_open, rate_limited). The lines at"
                " zero tell “none” from “no data”.",
                [(by_type, "{{exchange}} {{error_type}}")],
                "suffix:/s",
                alert="ExchangeOpen",
            ),
            lines(
                "Calls that failed",
                "Share of the calls wanted, whether made or not.",
                [
                    (
                        f"{_SHARE} / clamp_min({_CALLS} + on (exchange) (sum by (exchange) (rate("
                        'price_exchange_errors_total{@, error_type=~"breaker_open|rate_limited"}[@])) or 0 * '
                        f"{_CALLS}), 1e-9)",
                        "{{exchange}}",
                    )
                ],
                "percentunit",
                highest=1,
                alert="ExchangeOpen",
            ),
            lines(
                "Latency",
                "From the call to the decoded tickers, of calls that brought some.",
                latencies,
                "s",
                width=12,
            ),
            Panel(
                "state-timeline",
                "Breaker",
                "Of each refresher. Open: five failures in a row, left alone for 30 s. Half-open: one call at a time,"
                " two good ones close it.",
                [("price_circuit_breaker_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                width=12,
                steps=_STATE_STEPS,
                values=_STATES,
                alert="ExchangeOpen",
            ),
        ],
    )


def _tickers() -> Row:
    rejected = (
        "sum by (exchange, reason) (rate(price_tickers_rejected_total{@}[@]))"
        " or 0 * sum by (exchange) (rate(price_exchange_requests_total{@}[@]))"
    )
    return Row(
        "Tickers",
        [
            lines(
                "Rejected by reason",
                "Assets per second for which it had no part in the price: no ticker came, it came late, or it did not"
                " count (outlier, too_old, bad_price, disagreement …).",
                [(rejected, "{{exchange}} {{reason}}")],
                "suffix:/s",
                width=12,
            ),
            lines(
                "Rejected, of all prices made",
                "Share of the prices in which it had no part.",
                [
                    (
                        "(sum by (exchange) (rate(price_tickers_rejected_total{@}[@])) or 0 * " + _CALLS + ")"
                        ' / on () group_left () (sum(rate(price_refresh_total{instance=~"$instance"}[@]))'
                        ' + sum(rate(price_refresh_errors_total{instance=~"$instance"}[@])) > 0)',
                        "{{exchange}}",
                    )
                ],
                "percentunit",
                width=12,
                highest=1,
            ),
            lines(
                "Idle",
                "Seconds since it last gave a ticker.",
                [(_IDLE, "{{exchange}}")],
                "s",
                alert="ExchangeOpen",
            ),
            lines(
                "Age of its newest ticker",
                "By its own clock. Growing while it is not idle: its clock stands still, and its tickers are too old.",
                [(_CLOCK, "{{exchange}}")],
                "s",
            ),
            lines(
                "Quiet",
                "Seconds for which it is not asked because it has said so (429, Retry-After), as of the last call.",
                [("max by (exchange, instance) (price_exchange_quiet_seconds{@})", "{{exchange}} ({{instance}})")],
                "s",
            ),
        ],
    )
