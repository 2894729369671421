"""What a check has found."""

from enum import StrEnum

import msgspec

from aggregator.models import Asset


class Level(StrEnum):
    """How bad it is: nothing, something to watch, or something without which the service does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report: what was looked at, how it is, and what to mend where it is not well."""

    check: str
    level: Level
    says: str
    mend: str = ""


class Seen(msgspec.Struct):
    """What one check learns that another needs: the assets listed, and how many seconds others' clocks are ahead."""

    assets: list[Asset] = []
    ahead: list[float] = []


def fine(check: str, says: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Level.OK, says)


def odd(check: str, says: str, mend: str) -> Finding:
    """Return a finding of something that works, and may not for long or not as meant."""
    return Finding(check, Level.WARN, says, mend)


def broken(check: str, says: str, mend: str) -> Finding:
    """Return a finding of something without which the service does not work."""
    return Finding(check, Level.FAIL, says, mend)
