"""Times between unix seconds, as the service has them, and PostgreSQL's microseconds since the year 2000. Pure."""

from math import ceil, floor

_MICROSECONDS = 1_000_000
_YEAR_2000 = 946_684_800 * _MICROSECONDS
_LATEST = 9e9  # the year 2255: until then a float is exact to the microsecond; an infinite one has no integer


def to_postgres(seconds: float) -> tuple[int]:
    """Return unix seconds as PostgreSQL's microseconds, in the form that asyncpg's tuple codec takes."""
    return (round(seconds * _MICROSECONDS) - _YEAR_2000,)


def from_postgres(value: tuple[int]) -> float:
    """Return PostgreSQL's microseconds as unix seconds."""
    return (value[0] + _YEAR_2000) / _MICROSECONDS


def whole_range(start: float, end: float) -> tuple[float, float]:
    """Return the first and the last whole microsecond of a range, in unix seconds; first > last if there is none."""
    first, last = max(0.0, min(start, _LATEST)), max(-1.0, min(end, _LATEST))
    low, high = round(first * _MICROSECONDS), round(last * _MICROSECONDS)
    low += low / _MICROSECONDS < first
    high -= high / _MICROSECONDS > last
    return low / _MICROSECONDS, high / _MICROSECONDS


def wide_range(start: float, end: float) -> tuple[float, float]:
    """Return a range of whole microseconds that has every time of start <= time <= end, rounded or not."""
    first, last = max(0.0, min(start, _LATEST)), max(-1.0, min(end, _LATEST))
    return floor(first * _MICROSECONDS) / _MICROSECONDS, ceil(last * _MICROSECONDS) / _MICROSECONDS
