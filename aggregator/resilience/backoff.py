"""Growing pauses between attempts."""

import asyncio
import random

_FIRST, _LONGEST = 0.05, 5.0  # seconds


class Backoff:
    """Pauses that double from `first` to `longest` seconds; make a new one after a success.

    With `jitter`, a pause sleeps a random part of its seconds, so that clients that failed together retry apart.
    `seconds` is the length of the next pause, the longest it can be with jitter.
    """

    def __init__(self, longest: float = _LONGEST, first: float = _FIRST, *, jitter: bool = True) -> None:
        self.seconds = min(first, longest)
        self._longest = longest
        self._jitter = jitter

    async def pause(self) -> None:
        """Sleep; the next pause is twice as long, at most `longest`."""
        seconds = self.seconds
        self.seconds = min(2 * seconds, self._longest)
        await asyncio.sleep(random.uniform(0, seconds) if self._jitter else seconds)  # noqa: S311  # no secret
