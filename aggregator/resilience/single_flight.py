"""Single flight: callers who want the same thing at the same moment share one piece of work."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Owns the task of each key under way. A caller who goes away does not take the work from those who stay."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Join the work under way for `key`, or start it; return its result or raise its exception."""
        return await asyncio.shield(self._flights.get(key) or self._start([key], work))

    async def do_together(self, keys: Sequence[K], work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Start one piece of work for several keys, none of which is under way, and return its result."""
        return await asyncio.shield(self._start(keys, work))

    def _start(self, keys: Sequence[K], work: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        task = asyncio.create_task(work())
        self._flights.update(dict.fromkeys(keys, task))
        task.add_done_callback(lambda _: [self._flights.pop(key) for key in keys])
        return task

    async def close(self, patience: float) -> None:
        """Let what is under way finish for at most `patience` seconds, then cancel it."""
        tasks = set(self._flights.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
