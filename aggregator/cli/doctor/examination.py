"""One check after the other, each within the same bound."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aggregator.cli.doctor.finding import Finding, broken
from aggregator.errors import CannotGoOn, StoreError

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
