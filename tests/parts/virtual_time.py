"""An event loop whose time jumps to the next timer instead of waiting for it: hours pass in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_TICK = 1e-7  # seconds that each round of the loop takes, so that a timer of a rounding error is over at some time


class _Jumping(selectors.BaseSelector):
    """Moves the time on by what the loop would have waited, instead of waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now."""
        assert timeout is not None, "the loop would wait for ever"
        self.now += max(_TICK, timeout)
        return self._real.select(0)

    def close(self) -> None:
        """As the real one."""
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As the real one."""
        found = self._real.get_map()
        assert found is not None
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in virtual time, which begins at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)
