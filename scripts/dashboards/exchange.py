"""The dashboard Exchange detail: calls, errors, tickers and feeds of one or several exchanges."""

from scripts.dashboards.board import EXCHANGES, INSTANCES, Row, dashboard
from scripts.dashboards.panels import Json, Panel, Query, from_goal, lines
from scripts.dashboards.queries import CALLS, or_none, quantile
from scripts.dashboards.works import errors_by_type

_STATES = [("0", "closed", "green"), ("1", "open", "red"), ("2", "half-open", "yellow")]
_PUSH_STATES = [("0", "polled", "yellow"), ("1", "pushes", "green")]
_STATE_STEPS = [(None, "green"), (1.0, "red"), (2.0, "yellow")]
_FAILED = f"(sum by (exchange) (rate(price_exchange_errors_total{{@}}[@])) or 0 * {CALLS})"
_NOT_MADE = (
    'sum by (exchange) (rate(price_exchange_errors_total{@, error_type=~"breaker_open|rate_limited"}[@]))'
    f" or 0 * {CALLS}"
)
_PRICES = " + ".join(f'sum(rate(price_refresh_{what}total{{instance=~"$instance"}}[@]))' for what in ("", "errors_"))
_REJECTED = f"(sum by (exchange) (rate(price_tickers_rejected_total{{@}}[@])) or 0 * {CALLS})"
_NEWS = "sum by (exchange, kind) (rate(price_exchange_push_messages_total{@}[@]))"
_IDLE = "time() - max by (exchange) (price_exchange_last_ticker_timestamp_seconds{@})"
_CLOCK = "time() - max by (exchange) (price_exchange_newest_ticker_timestamp_seconds{@})"


def board() -> Json:
    """Return the dashboard."""
    about = "Each exchange: calls, errors, latency, breaker, cool-downs, and tickers that did not count."
    return dashboard(
        "price-exchange",
        "Prices: exchange detail",
        about,
        [INSTANCES, EXCHANGES],
        [_now(), _calls(), _tickers(), _feeds()],
    )


def _latency(share: float) -> str:
    return quantile(share, "price_exchange_request_duration_seconds", "exchange")


def _each(title: str, about: str, query: str, unit: str, **more: object) -> Panel:
    """Return a panel with the current number of each exchange."""
    shown = {"width": 4, "height": 5, "lowest": None} | more
    return Panel("stat", title, about, [(query, "{{exchange}}")], unit, **shown)  # type: ignore[arg-type]  # by name


def _now() -> Row:
    return Row(
        "Now",
        [
            _each(
                "Breaker",
                "The worst state at any refresher.",
                "max by (exchange) (price_circuit_breaker_state{@})",
                "none",
                steps=_STATE_STEPS,
                values=_STATES,
                alert="ExchangeOpen",
            ),
            _each("Idle", "Time since its last ticker.", _IDLE, "s", steps=from_goal(10, 60), alert="ExchangeOpen"),
            _each(
                "Its clock",
                "Age of the newest time of its tickers. If it grows while calls succeed, its clock stands still.",
                _CLOCK,
                "s",
                steps=from_goal(10, 60),
            ),
            _each(
                "Quiet",
                "Remaining cool-down that the exchange demanded, as of the last call.",
                "max by (exchange) (price_exchange_quiet_seconds{@})",
                "s",
                steps=from_goal(1, 60),
            ),
            _each("Calls", "Sent per second.", CALLS, "reqps"),
            _each("Latency, p95", "Calls that returned a ticker.", _latency(0.95), "s", steps=from_goal(0.5, 1)),
        ],
    )


def _calls() -> Row:
    latencies: list[Query] = [(_latency(share), f"{{{{exchange}}}} p{100 * share:g}") for share in (0.5, 0.95, 0.99)]
    return Row(
        "Calls",
        [
            lines("Calls", "Sent per second; an open breaker sends none.", [(CALLS, "{{exchange}}")], "reqps"),
            errors_by_type("Errors by type"),
            lines(
                "Calls that failed",
                "Share of failed calls, including those that were not made.",
                [(f"{_FAILED} / ({CALLS} + ({_NOT_MADE}) > 0)", "{{exchange}}")],
                "percentunit",
                highest=1,
                alert="ExchangeOpen",
            ),
            lines(
                "Latency",
                "From the call to the decoded tickers, for calls that returned some.",
                latencies,
                "s",
                width=12,
            ),
            Panel(
                "state-timeline",
                "Breaker",
                "Of each refresher. Open: five failures in a row, not called for 30 s. Half-open: one probe at a time;"
                " two successful probes close it.",
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
    return Row(
        "Tickers",
        [
            lines(
                "Rejected by reason",
                "Assets per second for which it had no part in the price: no ticker came, it came late, or it did not"
                " count (outlier, too_old, bad_price, disagreement …).",
                [(or_none("price_tickers_rejected_total", "reason"), "{{exchange}} {{reason}}")],
                "suffix:/s",
                alert="ExchangeRejected",
            ),
            lines(
                "Rejected, of all prices made",
                "Share of all prices that were made without it.",
                [(f"{_REJECTED} / on () group_left () ({_PRICES} > 0)", "{{exchange}}")],
                "percentunit",
                highest=1,
            ),
            lines(
                "Rejected, of its own tickers",
                "Share of its tickers that did not count, over five minutes. Above the line is an alert.",
                [("max by (exchange) (instance_exchange:price_tickers_rejected:ratio5m{@})", "{{exchange}}")],
                "percentunit",
                steps=from_goal(0.25),
                highest=1,
                alert="ExchangeRejected",
            ),
            lines(
                "Idle",
                "Seconds since its last ticker.",
                [(_IDLE, "{{exchange}}")],
                "s",
                alert="ExchangeOpen",
            ),
            lines(
                "Age of its newest ticker",
                "By its own clock. If it grows while the exchange is not idle, its clock stands still.",
                [(_CLOCK, "{{exchange}}")],
                "s",
            ),
            lines(
                "Quiet",
                "Remaining seconds of the cool-down that it demanded (429, Retry-After), as of the last call.",
                [("max by (exchange, instance) (price_exchange_quiet_seconds{@})", "{{exchange}} ({{instance}})")],
                "s",
            ),
        ],
    )


def _feeds() -> Row:
    return Row(
        "Feeds, of exchanges that push",
        [
            Panel(
                "state-timeline",
                "Feed",
                "Of each refresher: current tickers are pushed, or the exchange is polled instead.",
                [("price_exchange_push_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                width=12,
                steps=[(None, "yellow"), (1.0, "green")],
                values=_PUSH_STATES,
                alert="PushFallenBack",
                empty="No exchange pushes tickers",
            ),
            lines(
                "Answered without a call",
                "Assets per second with a current ticker from the feed.",
                [("sum by (exchange) (rate(price_exchange_push_answers_total{@}[@]))", "{{exchange}}")],
                "suffix:/s",
                width=12,
                empty="No exchange pushes tickers",
            ),
            lines(
                "News by kind",
                "Per second. gap: a heartbeat named a trade that was not received, so the pair was requested again."
                " lost: the connection ended. out_of_order and junk are ignored; refused pairs are polled.",
                [(_NEWS, "{{exchange}} {{kind}}")],
                "suffix:/s",
                width=12,
                empty="No exchange pushes tickers",
            ),
            lines(
                "Connections",
                "Opened per second. A lost connection is opened again after a growing pause.",
                [("sum by (exchange) (rate(price_exchange_push_connections_total{@}[@]))", "{{exchange}}")],
                "suffix:/s",
                width=12,
                empty="No exchange pushes tickers",
            ),
        ],
    )
