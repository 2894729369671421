"""Single flight: callers who want the same thing at the same moment share one piece of work."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Owns one task per key under way. A caller who goes away does not take the work from those who stay."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Join the work under way for `key`, or start it; return its result or raise its exception."""
        task = self._flights.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._flights[key] = task
            task.add_done_callback(lambda _: self._flights.pop(key))
        return await asyncio.shield(task)

    async def close(self, patience: float) -> None:
        """Let what is under way finish for at most `patience` seconds, then cancel it."""
        tasks = list(self._flights.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
