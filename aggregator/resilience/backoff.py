"""Pauses between attempts."""

import asyncio
import random

_FIRST, _LONGEST = 0.05, 5.0  # seconds


class Backoff:
    """Pauses that double, of which a random part is slept, so that those who failed together do not return together."""

    def __init__(self, longest: float = _LONGEST) -> None:
        self._most = longest
        self._longest = min(_FIRST, longest)

    async def pause(self) -> None:
        """Sleep."""
        await asyncio.sleep(random.uniform(0, self._longest))  # noqa: S311  # jitter, no secret
        self._longest = min(2 * self._longest, self._most)
