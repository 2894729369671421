"""Single flight: concurrent callers with the same key share one task."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Owns the running task of each key. The cancellation of a caller does not cancel the task."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Join the running task of `key`, or start one; return its result or raise its exception."""
        return await asyncio.shield(self._flights.get(key) or self._start([key], work))

    async def do_together(self, keys: Sequence[K], work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Start one task for several keys, none of which has a running task, and return its result."""
        return await asyncio.shield(self._start(keys, work))

    def _start(self, keys: Sequence[K], work: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        task = asyncio.create_task(work())
        self._flights.update(dict.fromkeys(keys, task))
        task.add_done_callback(lambda _: [self._flights.pop(key) for key in keys])
        return task

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for the running tasks, then cancel them."""
        tasks = set(self._flights.values())
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=patience)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
