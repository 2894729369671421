"""Holds back what is processed until the dead letters of its records are kept, so that no kill loses one."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from aggregator.trades.event_log.partition import Assignment, Done, FromPartition
from aggregator.trades.ports import DurableDeadLetters

_LOOK_SECONDS = 0.1  # between two looks whether dead letters are kept
_MOST_LETTERS = 5_000  # that wait to be written; more than twice as many would be lost

_Parts = dict[tuple[Assignment, bool], Done | None]


class HeldCommits:
    """Gives assignments what is processed, in order, once the dead letters before it are kept."""

    def __init__(self, dead_letters: DurableDeadLetters) -> None:
        self._dead_letters = dead_letters
        self._held: deque[tuple[int, _Parts]] = deque()  # by the number of dead letters that must be kept

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def is_full(self) -> bool:
        """Whether so many dead letters wait to be written that no more records may be processed."""
        return self._dead_letters.buried - self._dead_letters.kept > _MOST_LETTERS

    async def room(self) -> None:
        """Wait until `is_full` is false."""
        while self.is_full:  # noqa: ASYNC110  # a rare look; dead letters announce nothing
            await asyncio.sleep(_LOOK_SECONDS)

    def commit(self, parts: Sequence[FromPartition]) -> None:
        """Take the parts of a processed batch."""
        done = {(one.assignment, one.ends): _done(one) for one in parts}  # the last of each
        self.hold(max((one.letters for one in parts), default=0), done)

    def hold(self, letters: int, done: Mapping[tuple[Assignment, bool], Done | None]) -> None:
        """Take how far assignments are processed, by assignment and whether it ends, behind so many dead letters."""
        if self._held and self._held[-1][0] == letters:
            self._held[-1][1].update(done)
            return
        self._held.append((letters, dict(done)))
        if len(self._held) == 1:
            self._release()

    def _release(self) -> None:
        """Give away what may be; look again soon if there is more."""
        while self._held and self._dead_letters.kept >= self._held[0][0]:
            for (assignment, _), done in self._held.popleft()[1].items():
                assignment.take(done)
        if self._held:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._release)


def _done(one: FromPartition) -> Done | None:
    """Return how far a part brings its partition; None: to its end."""
    if one.ends:
        return None
    if one.trades:
        one.assignment.starts.add(one.first, max(trade.timestamp for trade in one.trades))
    return Done(one.following, one.assignment.starts.current.as_metadata(), one.time)
