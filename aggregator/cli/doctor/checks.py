"""Checks and their findings. The checks run one by one, each within a time limit."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from aggregator.errors import CannotGoOn, StoreError
from aggregator.models import Asset


class Level(StrEnum):
    """The severity of a finding: all well, something to watch, or something that the service cannot work without."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report: the check, its level, the result, and what to mend unless the level is OK."""

    check: str
    level: Level
    says: str
    mend: str = ""


class Context(msgspec.Struct):
    """Results of checks for later checks: the assets, and by how many seconds other clocks are ahead of ours."""

    assets: list[Asset] = []
    clock_offsets: list[float] = []


def passed(check: str, says: str) -> Finding:
    """Return a finding of level OK."""
    return Finding(check, Level.OK, says)


def warning(check: str, says: str, mend: str) -> Finding:
    """Return a finding of level WARN: it works, but may not for long, or not as intended."""
    return Finding(check, Level.WARN, says, mend)


def failure(check: str, says: str, mend: str) -> Finding:
    """Return a finding of level FAIL: the service does not work without it."""
    return Finding(check, Level.FAIL, says, mend)


Check = Callable[[], Awaitable[Sequence[Finding]]]
"""Raises CannotGoOn, StoreError or OSError where it cannot go on; that becomes a failure."""


async def run_checks(checks: Mapping[str, Check], seconds: float) -> tuple[list[Finding], bool]:
    """Run the checks by name; return their findings, and whether one of them did not end within `seconds`.

    One after the other: a check that blocks the event loop would make the calls of another look slow. A late check is
    cancelled but not waited for: a thread that hangs in a system call cannot be cancelled.
    """
    findings: list[Finding] = []
    stuck = False
    for name, check in checks.items():
        task = asyncio.create_task(_run(name, check))
        done, _ = await asyncio.wait([task], timeout=seconds)
        if done:
            findings += task.result()
        else:
            task.cancel()
            stuck = True
            findings.append(_late(name, seconds))
    return findings, stuck


async def _run(name: str, check: Check) -> Sequence[Finding]:
    try:
        return await check()
    except CannotGoOn as error:
        return [failure(name, error.what, error.mend)]
    except (StoreError, OSError) as error:
        return [failure(name, str(error), "check that it is reachable, and look into its log")]


def _late(name: str, seconds: float) -> Finding:
    return failure(name, f"no answer within {seconds:g} s", "check whether it hangs, or the network on the way to it")
