"""Durations in settings: `48h`, `30m`, `7d` and `90s` beside plain seconds."""

import re

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(value: object) -> object:
    """Return the seconds of a text such as `48h`; anything else unchanged."""
    match = _DURATION.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    return value if match is None else float(match[1]) * _UNITS[match[2]]
