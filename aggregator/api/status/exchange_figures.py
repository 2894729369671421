"""The exchanges in the response of /exchanges: several refreshers' views of one exchange become one. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from aggregator.api.status.exchange_status import problem_of
from aggregator.models import RateTokens, Reason, rfc_3339
from aggregator.ports import ExchangeState

State = Literal["ok", "degraded", "down"]
Breaker = Literal["closed", "half-open", "open"]
Push = Literal["pushing", "polled", "fallen_back"]

_BREAKERS: tuple[Breaker, ...] = ("open", "half-open", "closed")  # the worst first
_TIME_DIGITS = 3  # milliseconds
_SHARE_DIGITS = 6
_DISTANCE_DIGITS = 9

_Share = Annotated[float, Meta(ge=0, le=1)]
_Number = Annotated[int, Meta(ge=0)]


class RateLimit(Struct, frozen=True):
    """The tokens that the rate limiter has left. A token is a call, or a unit of weight where calls are weighed."""

    tokens_left: _Number
    per_second: Annotated[float, Meta(gt=0)]


class ExchangeReport(Struct, frozen=True):
    """The state of an exchange, as all refreshers see it."""

    name: str
    state: State
    problem: str | None
    breaker: Breaker
    last_ticker: float | None
    last_ticker_iso: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None
    tickers: _Number
    left_out: dict[Reason, _Share]
    mean_distance: float | None
    mean_absolute_distance: Annotated[float, Meta(ge=0)] | None
    push: Push
    push_problem: str | None
    rate_limit: RateLimit | None
    cooldown_seconds: Annotated[float, Meta(ge=0)]
    assets: _Number | None
    refreshers: Annotated[int, Meta(ge=1)]


def reports(views: Sequence[Sequence[ExchangeState]], now: float, max_age: float) -> list[ExchangeReport]:
    """Return each exchange, in the order of the views. `views` has the exchanges as each refresher sees them.

    `now` is in unix seconds; a ticker of the hottest tier may be `max_age` seconds old.
    """
    names = dict.fromkeys(one.name for view in views for one in view)
    return [_report([one for view in views for one in view if one.name == name], now, max_age) for name in names]


def _report(seen: Sequence[ExchangeState], now: float, max_age: float) -> ExchangeReport:
    """Return one exchange. The worst view counts for the breaker and the feed; the counts of all are added up."""
    tickers, left_out, mean, mean_absolute = _figures(seen)
    push, push_problem = _push(seen)
    arrived = [round(now - one.idle_seconds, _TIME_DIGITS) for one in seen if one.idle_seconds is not None]
    breakers = {one.breaker_state for one in seen}
    return ExchangeReport(
        name=seen[0].name,
        state=_state(seen, now, max_age),
        problem=_problem(seen, now, max_age),
        breaker=next((state for state in _BREAKERS if state in breakers), "closed"),
        last_ticker=max(arrived, default=None),
        last_ticker_iso=rfc_3339(max(arrived)) if arrived else None,
        tickers=tickers,
        left_out=left_out,
        mean_distance=mean,
        mean_absolute_distance=mean_absolute,
        push=push,
        push_problem=push_problem,
        rate_limit=_rate_limit([one.tokens for one in seen if one.tokens is not None]),
        cooldown_seconds=max(one.quiet_seconds for one in seen),
        assets=max((one.listed for one in seen if one.listed is not None), default=None),
        refreshers=len(seen),
    )


def _state(seen: Sequence[ExchangeState], now: float, max_age: float) -> State:
    """Return `down` if no refresher gets tickers, `degraded` if one has a problem or a cool-down, else `ok`."""
    if all(_is_down(one, max_age) for one in seen):
        return "down"
    return "degraded" if _problem(seen, now, max_age) else "ok"


def _is_down(exchange: ExchangeState, max_age: float) -> bool:
    """Whether no tickers come. The breaker is that of the calls: a feed may push while it is open."""
    pushes = exchange.push_trouble == ""
    return (exchange.breaker_state == "open" and not pushes) or exchange.silent_seconds > max_age


def _problem(seen: Sequence[ExchangeState], now: float, max_age: float) -> str | None:
    """Return the first problem, and at how many refreshers there is one."""
    problems = [problem for one in seen if (problem := problem_of(one, now, max_age) or _cooldown(one))]
    if not problems:
        return None
    where = "" if len(problems) == len(seen) else f" (at {len(problems)} of {len(seen)} refreshers)"
    return problems[0] + where


def _cooldown(exchange: ExchangeState) -> str:
    return f"wants no calls for another {exchange.quiet_seconds:.0f} s" if exchange.quiet_seconds > 0 else ""


def _push(seen: Sequence[ExchangeState]) -> tuple[Push, str | None]:
    """Return the worst state of the feed, and why it has fallen back."""
    troubles = [one.push_trouble for one in seen]
    fallen_back = next(filter(None, troubles), None)
    if fallen_back is not None:
        return "fallen_back", fallen_back
    return ("polled" if None in troubles else "pushing"), None


def _rate_limit(tokens: Sequence[RateTokens]) -> RateLimit | None:
    """Return what the refresher with the fewest tokens has left."""
    least = min(tokens, key=lambda one: one.left, default=None)
    return None if least is None else RateLimit(least.left, least.per_second)


def _figures(seen: Sequence[ExchangeState]) -> tuple[int, dict[Reason, float], float | None, float | None]:
    """Return the number of tickers, the share left out by reason, the mean distance, and the mean of its magnitude."""
    windows = [one.window for one in seen]
    left_out: Counter[str] = Counter()
    for window in windows:
        left_out.update(window.left_out)
    tickers = sum(window.used for window in windows) + left_out.total()
    shares = {reason: round(left_out[reason] / tickers, _SHARE_DIGITS) for reason in Reason if left_out[reason]}
    compared = sum(window.compared for window in windows)
    if not compared:
        return tickers, shares, None, None
    signed, absolute = sum(one.distance for one in windows), sum(one.absolute_distance for one in windows)
    return tickers, shares, round(signed / compared, _DISTANCE_DIGITS), round(absolute / compared, _DISTANCE_DIGITS)


def row(report: ExchangeReport) -> dict[str, object]:
    """Return the exchange as a row of CSV: shares as `outlier=0.01 timeout=0.002`."""
    limit = report.rate_limit
    return {
        "name": report.name,
        "state": report.state,
        "problem": report.problem,
        "breaker": report.breaker,
        "last_ticker": report.last_ticker,
        "last_ticker_iso": report.last_ticker_iso,
        "tickers": report.tickers,
        "left_out": " ".join(f"{reason}={share:g}" for reason, share in report.left_out.items()),
        "mean_distance": report.mean_distance,
        "mean_absolute_distance": report.mean_absolute_distance,
        "push": report.push,
        "push_problem": report.push_problem,
        "tokens_left": None if limit is None else limit.tokens_left,
        "tokens_per_second": None if limit is None else limit.per_second,
        "cooldown_seconds": report.cooldown_seconds,
        "assets": report.assets,
        "refreshers": report.refreshers,
    }
