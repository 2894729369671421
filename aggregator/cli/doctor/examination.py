"""The checks, one after the other, each within the same bound, and the findings they return."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from aggregator.errors import CannotGoOn, StoreError
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


Check = Callable[[], Awaitable[Sequence[Finding]]]  # raises CannotGoOn or StoreError for what it cannot get past


async def examine(checks: Mapping[str, Check], seconds: float) -> tuple[list[Finding], bool]:
    """Return what the checks find, and whether one was still at it after `seconds`.

    Not all at once: what one does to the event loop would make another's call look slow. One that is late is not
    waited for any more: a thread that hangs in a system call hears of no cancellation.
    """
    findings: list[Finding] = []
    stuck = False
    for name, check in checks.items():
        task = asyncio.create_task(_found(name, check))
        done, _ = await asyncio.wait([task], timeout=seconds)
        if done:
            findings += task.result()
        else:
            task.cancel()
            stuck = True
            findings.append(_late(name, seconds))
    return findings, stuck


async def _found(name: str, check: Check) -> Sequence[Finding]:
    try:
        return await check()
    except CannotGoOn as error:
        return [broken(name, error.what, error.mend)]
    except (StoreError, OSError) as error:
        return [broken(name, str(error), "see whether it is reachable, and what its own log says")]


def _late(name: str, seconds: float) -> Finding:
    return broken(name, f"no answer within {seconds:g} s", "see whether it hangs, or something on the way to it does")
