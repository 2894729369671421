"""Parsing times in query parameters (unix seconds or RFC 3339), and writing RFC 3339."""

import re
from datetime import UTC, datetime

from starlette.requests import Request

from aggregator.api.responses import refuse

LATEST = 253_402_300_799.0  # the last second of the year 9999
UNIX = r"[0-9]{1,12}(\.[0-9]{1,9})?"
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)([Tt ](\d\d:\d\d:\d\d(\.\d{1,9})?)([Zz]|[+ -]\d\d:\d\d))?", re.ASCII)


def time_of(request: Request, name: str, default: float) -> float:
    """Return a query parameter that is a time, in unix seconds. Raises the response 400."""
    text = request.query_params.get(name)
    if text is None:
        return default
    seconds = parse(text)
    if seconds is None:
        raise refuse(400, f"{name} must be unix seconds or RFC 3339, such as 1696118400.25 or 2023-10-01T00:00:00.25Z")
    return seconds


def parse(text: str) -> float | None:
    """Return unix seconds, or None if the text is not a time. A date alone is midnight UTC of that day."""
    if re.fullmatch(UNIX, text):
        seconds = float(text)
        return seconds if seconds <= LATEST else None
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, clock, zone = match[1], match[3] or "00:00:00", match[5] or "Z"
    # An unescaped + in a query string arrives as a space.
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        seconds = datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= LATEST else None


def show(timestamp: float) -> str:
    """Return RFC 3339 in UTC with milliseconds, or with microseconds if the timestamp has any."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
