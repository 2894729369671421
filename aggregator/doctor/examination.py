"""All checks at once, each within the same bound."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aggregator.doctor.finding import Finding, broken
from aggregator.errors import CannotGoOn, StoreError

Check = Callable[[], Awaitable[Sequence[Finding]]]  # raises CannotGoOn or StoreError for what it cannot get past


async def examine(checks: Mapping[str, Check], seconds: float) -> tuple[list[Finding], bool]:
    """Return what the checks find, in their order, and whether some are still at it after `seconds`.

    Those are not waited for any more: a thread that hangs in a system call hears of no cancellation.
    """
    tasks = {name: asyncio.create_task(_found(name, check)) for name, check in checks.items()}
    if not tasks:
        return [], False
    done, late = await asyncio.wait(tasks.values(), timeout=seconds)
    for task in late:
        task.cancel()
    found = (task.result() if task in done else [_late(name, seconds)] for name, task in tasks.items())
    return [one for findings in found for one in findings], bool(late)


async def _found(name: str, check: Check) -> Sequence[Finding]:
    try:
        return await check()
    except CannotGoOn as error:
        return [broken(name, error.what, error.mend)]
    except (StoreError, OSError) as error:
        return [broken(name, str(error), "see whether it is reachable, and what its own log says")]


def _late(name: str, seconds: float) -> Finding:
    return broken(name, f"no answer within {seconds:g} s", "see whether it hangs, or something on the way to it does")
