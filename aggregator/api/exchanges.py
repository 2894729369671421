"""What /ready says of an exchange. Pure: the time is an argument."""

from aggregator.ports import Exchange


def shown(exchange: Exchange, now: float) -> dict[str, object]:
    """Return its state as JSON shows it; seconds throughout, null where there is nothing to count from."""
    newest = exchange.newest_ticker
    return {
        "breaker": exchange.breaker_state,
        "quiet_for_seconds": exchange.quiet_seconds,
        "last_ticker_seconds_ago": exchange.idle_seconds,
        "newest_ticker_seconds_ago": None if newest is None else now - newest,
        "push": "live" if exchange.push_trouble == "" else exchange.push_trouble,
    }


def trouble(exchange: Exchange, now: float, max_age: float) -> str:
    """Say what is wrong with it, or nothing, at `now` (unix seconds), where a ticker may be `max_age` seconds old."""
    if exchange.breaker_state != "closed":
        return f"its breaker is {exchange.breaker_state}"
    if exchange.silent_seconds > max_age:
        return f"has given no ticker for {exchange.silent_seconds:.0f} s"
    if exchange.newest_ticker is not None and exchange.idle_seconds is not None:
        age = now - exchange.newest_ticker
        if age - exchange.idle_seconds > max_age:  # as it was when it came: one that nobody has asked since may be old
            return f"its newest ticker is {age:.1f} s old: its clock stands still"
    return f"is polled, as its feed has fallen back: {exchange.push_trouble}" if exchange.push_trouble else ""
