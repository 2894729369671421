"""Parameters of calls as text."""

from collections.abc import Iterable
from datetime import date, datetime
from urllib.parse import quote

_WITHOUT_ZONE = "a time needs a zone: datetime.now(UTC), not datetime.now()"
Time = datetime | date | float | str
"""A datetime with a zone, a date (midnight UTC), unix seconds, or RFC 3339."""
Value = str | bool | float | datetime | date | Iterable[str] | None
Parameters = tuple[tuple[str, str], ...]


def parameters(**values: Value) -> Parameters:
    """Return the parameters of a query string. Those that are None are left out; a list is joined by commas."""
    return tuple((name, text(value)) for name, value in values.items() if value is not None)


def text(value: Value) -> str:
    """Return a value as the service reads it. Raises ValueError for a datetime without a zone."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(_WITHOUT_ZONE)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) else f"{value:.6f}"
    return ",".join(value or ())


def path(*parts: str) -> str:
    """Return a path of these parts. `BTC/USDT` becomes `BTC-USDT`, which is the same symbol."""
    return "".join(f"/{quote(part.replace('/', '-'), safe='')}" for part in parts)
