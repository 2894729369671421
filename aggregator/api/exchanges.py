"""What /ready says of the exchanges. Pure: the time is an argument."""

import math
from collections.abc import Mapping, Sequence

from aggregator.ports import ExchangeState

UNKNOWN = "exchanges: no refresher tells of them"


class LocalStatus:
    """`aggregator.ports.ExchangeStatus` in a process that asks the exchanges itself."""

    def __init__(self, exchanges: Sequence[ExchangeState]) -> None:
        self._exchanges = exchanges

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return what this process sees."""
        return [self._exchanges]


def told(
    views: Sequence[Sequence[ExchangeState]], now: float, max_age: float
) -> tuple[Mapping[str, object], list[str]]:
    """Return each exchange's state by name, and what is wrong with any.

    Where several refreshers see it, one that has trouble with it is shown, else the one it last gave a ticker.
    """
    if not views:
        return {}, [UNKNOWN]
    shown_by_name, reasons = {}, []
    for name in dict.fromkeys(one.name for view in views for one in view):
        seen = [one for view in views for one in view if one.name == name]
        troubled = [one for one in seen if trouble(one, now, max_age)]
        if troubled:
            where = "" if len(troubled) == len(seen) else f" (at {len(troubled)} of {len(seen)} refreshers)"
            reasons.append(f"{name}: {trouble(troubled[0], now, max_age)}{where}")
        shown_by_name[name] = shown(troubled[0] if troubled else min(seen, key=_idle), now)
    return shown_by_name, reasons


def shown(exchange: ExchangeState, now: float) -> dict[str, object]:
    """Return its state as JSON shows it; seconds throughout, null where there is nothing to count from."""
    newest = exchange.newest_ticker
    return {
        "breaker": exchange.breaker_state,
        "quiet_for_seconds": exchange.quiet_seconds,
        "last_ticker_seconds_ago": exchange.idle_seconds,
        "newest_ticker_seconds_ago": None if newest is None else now - newest,
        "push": "live" if exchange.push_trouble == "" else exchange.push_trouble,
        "rejected": exchange.rejection or None,
    }


def trouble(exchange: ExchangeState, now: float, max_age: float) -> str:
    """Say what is wrong with it, or nothing, at `now` (unix seconds), where a ticker may be `max_age` seconds old."""
    if exchange.breaker_state != "closed":
        return f"its breaker is {exchange.breaker_state}"
    if exchange.silent_seconds > max_age:
        return f"has given no ticker for {exchange.silent_seconds:.0f} s"
    if exchange.newest_ticker is not None and exchange.idle_seconds is not None:
        age = now - exchange.newest_ticker
        if age - exchange.idle_seconds > max_age:  # as it was when it came: one that nobody has asked since may be old
            return f"its newest ticker is {age:.1f} s old: its clock stands still"
    if exchange.rejection:
        return f"its tickers are rejected: {exchange.rejection}"
    return f"is polled, as its feed has fallen back: {exchange.push_trouble}" if exchange.push_trouble else ""


def _idle(exchange: ExchangeState) -> float:
    return math.inf if exchange.idle_seconds is None else exchange.idle_seconds
