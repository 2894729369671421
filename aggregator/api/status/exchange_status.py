"""The exchanges in the response of /ready: state and problems. Pure: the time is an argument."""

import math
from collections.abc import Mapping, Sequence

from aggregator.ports import ExchangeState

UNKNOWN = "exchanges: no refresher tells of them"


class LocalStatus:
    """`aggregator.ports.ExchangeStatus` in a process that polls the exchanges itself."""

    def __init__(self, exchanges: Sequence[ExchangeState]) -> None:
        self._exchanges = exchanges

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return the view of this process."""
        return [self._exchanges]


def summary(
    views: Sequence[Sequence[ExchangeState]], now: float, max_age: float
) -> tuple[Mapping[str, object], list[str]]:
    """Return each exchange's state by name, and the problems as reasons for `reasons`.

    `views` has the exchanges as each refresher sees them. Of several views, the state is from one that has a problem,
    else from the one that received a ticker last.
    """
    if not views:
        return {}, [UNKNOWN]
    states, reasons = {}, []
    for name in dict.fromkeys(one.name for view in views for one in view):
        seen = [one for view in views for one in view if one.name == name]
        with_problem = [one for one in seen if problem_of(one, now, max_age)]
        if with_problem:
            where = "" if len(with_problem) == len(seen) else f" (at {len(with_problem)} of {len(seen)} refreshers)"
            reasons.append(f"{name}: {problem_of(with_problem[0], now, max_age)}{where}")
        states[name] = state_of(with_problem[0] if with_problem else min(seen, key=_idle), now)
    return states, reasons


def state_of(exchange: ExchangeState, now: float) -> dict[str, object]:
    """Return the state of an exchange as JSON. Ages are in seconds, null before the first ticker."""
    newest = exchange.newest_ticker
    return {
        "breaker": exchange.breaker_state,
        "quiet_for_seconds": exchange.quiet_seconds,
        "last_ticker_seconds_ago": exchange.idle_seconds,
        "newest_ticker_seconds_ago": None if newest is None else now - newest,
        "push": "live" if exchange.push_trouble == "" else exchange.push_trouble,
        "rejected": exchange.rejection or None,
    }


def problem_of(exchange: ExchangeState, now: float, max_age: float) -> str:
    """Return the problem of an exchange, or "". `now` is in unix seconds; a ticker may be `max_age` seconds old."""
    if exchange.breaker_state != "closed":
        return f"its breaker is {exchange.breaker_state}"
    if exchange.silent_seconds > max_age:
        return f"has given no ticker for {exchange.silent_seconds:.0f} s"
    if exchange.newest_ticker is not None and exchange.idle_seconds is not None:
        age = now - exchange.newest_ticker
        age_on_arrival = age - exchange.idle_seconds  # the age itself also grows while the exchange is not polled
        if age_on_arrival > max_age:
            return f"its newest ticker is {age:.1f} s old: its clock stands still"
    if exchange.rejection:
        return f"its tickers are rejected: {exchange.rejection}"
    return f"is polled, as its feed has fallen back: {exchange.push_trouble}" if exchange.push_trouble else ""


def _idle(exchange: ExchangeState) -> float:
    return math.inf if exchange.idle_seconds is None else exchange.idle_seconds
