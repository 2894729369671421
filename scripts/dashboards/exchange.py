"""One exchange, or several side by side: what it is asked, what it answers, and what becomes of that."""

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
    about = "Each exchange: calls, errors, latency, breaker, pauses it asked for, and tickers that did not count."
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
            _each("Calls", "Sent per second.", CALLS, "reqps"),
            _each("Latency, p95", "Of calls that brought a ticker.", _latency(0.95), "s", steps=from_goal(0.5, 1)),
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
                "Share of the calls wanted, whether made or not.",
                [(f"{_FAILED} / ({CALLS} + ({_NOT_MADE}) > 0)", "{{exchange}}")],
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
                "Share of the prices in which it had no part.",
                [(f"{_REJECTED} / on () group_left () ({_PRICES} > 0)", "{{exchange}}")],
                "percentunit",
                highest=1,
            ),
            lines(
                "Rejected, of its own tickers",
                "Share of the tickers it gave that did not count, over five minutes. Above the line it is an alert.",
                [("max by (exchange) (instance_exchange:price_tickers_rejected:ratio5m{@})", "{{exchange}}")],
                "percentunit",
                steps=from_goal(0.25),
                highest=1,
                alert="ExchangeRejected",
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


def _feeds() -> Row:
    return Row(
        "Feeds, of exchanges that push",
        [
            Panel(
                "state-timeline",
                "Feed",
                "Of each refresher: whether young tickers are pushed, or it has fallen back to being polled.",
                [("price_exchange_push_state{@}", "{{exchange}} ({{instance}})")],
                "none",
                width=12,
                steps=[(None, "yellow"), (1.0, "green")],
                values=_PUSH_STATES,
                alert="PushFallenBack",
            ),
            lines(
                "Answered without a call",
                "Assets per second whose ticker the feed had, young enough.",
                [("sum by (exchange) (rate(price_exchange_push_answers_total{@}[@]))", "{{exchange}}")],
                "suffix:/s",
                width=12,
            ),
            lines(
                "News by kind",
                "Per second. gap: a beat knew of a trade that we had not heard of, so the pair was asked for anew."
                " lost: the connection ended. out_of_order and junk are ignored, refused pairs are polled.",
                [(_NEWS, "{{exchange}} {{kind}}")],
                "suffix:/s",
                width=12,
            ),
            lines(
                "Connections",
                "Opened per second; one that is lost is opened anew after a pause that grows.",
                [("sum by (exchange) (rate(price_exchange_push_connections_total{@}[@]))", "{{exchange}}")],
                "suffix:/s",
                width=12,
            ),
        ],
    )
