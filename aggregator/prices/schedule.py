"""Whose turn it is: a tier's assets in batches, each due once per interval."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import NamedTuple

from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.prices.tiers import Catalog

_TICK = 0.02  # seconds; due times closer together than this are taken together
TOGETHER = 1.0  # seconds within which due assets may share a call: so much of a tier's even spread is given for it


def batches(symbols: Sequence[str], interval: float, most: int, together: float = TOGETHER) -> list[list[str]]:
    """Cut a tier's symbols into batches of at most `most`, due within about `together` seconds of each other."""
    size = max(1, min(most, round(len(symbols) / interval * together)))
    return [list(symbols[first : first + size]) for first in range(0, len(symbols), size)]


class Slot(NamedTuple):
    """Which thing is due, and when."""

    place: int
    due: float


class Schedule:
    """When each of `count` things is due, once per `interval` seconds from `start`, spread evenly over it.

    The things stand on a circle of slots. Slot `n` is thing `n % count` and is due at a time computed from `n`
    alone, so nothing drifts, however late it is taken. Who comes back after more than a whole interval finds each
    thing due once, not once for every interval missed; the missed ones are counted.
    """

    def __init__(self, count: int, interval: float, start: float) -> None:
        if count < 1 or interval <= 0:
            raise ValueError("a schedule needs something to do and a positive interval")
        self._count = count
        self._interval = interval
        self._start = start
        self._slot = 0
        self._missed = 0

    @property
    def next_due(self) -> float:
        """The time at which the next slot is due."""
        return self._due(self._slot)

    @property
    def next_place(self) -> int:
        """Which thing that is."""
        return self._slot % self._count

    def pop_due(self, now: float) -> list[Slot]:
        """Return the turns due by `now`, longest due first, each thing at most once, and move on past them."""
        end = self._first_after(now)
        if end <= self._slot:
            return []
        begin = max(self._slot, end - self._count)
        self._missed += begin - self._slot
        self._slot = end
        return [Slot(slot % self._count, self._due(slot)) for slot in range(begin, end)]

    def pop_missed(self) -> int:
        """Return how many slots were passed over since the last call."""
        missed, self._missed = self._missed, 0
        return missed

    def _due(self, slot: int) -> float:
        cycle, place = divmod(slot, self._count)
        return self._start + cycle * self._interval + place * self._interval / self._count

    def _first_after(self, now: float) -> int:
        """Return the first slot due after `now`: a guess by division, put right by the one definition of due."""
        slot = max(0, int((now - self._start) / self._interval * self._count))
        while self._due(slot) <= now:
            slot += 1
        while slot > 0 and self._due(slot - 1) > now:
            slot -= 1
        return slot


class TierSchedule:
    """One tier's batches on a circle, of slots: who leaves the tier leaves its slot, and turn, to who comes."""

    def __init__(self, catalog: Catalog, tier: Tier, most: int, start: float, together: float = TOGETHER) -> None:
        interval = catalog.cadence[tier].interval
        self.tier = tier
        self._catalog = catalog
        self._batches = batches(catalog.slots(tier), interval, most, together)
        self._schedule = Schedule(len(self._batches), interval, start)

    @property
    def next_due(self) -> float:
        """When the next batch is due."""
        return self._schedule.next_due

    def upcoming(self) -> list[str]:
        """Return everybody's symbol, first whoever's turn comes next."""
        place = self._schedule.next_place
        return [
            self._catalog.asset_in_slot(slot)
            for batch in self._batches[place:] + self._batches[:place]
            for slot in batch
        ]

    def pop_due(self, now: float) -> list[Job]:
        """Return what is due by `now`, each batch at most once."""
        return [
            Job(self.tier, tuple(map(self._catalog.asset_in_slot, self._batches[place])), due)
            for place, due in self._schedule.pop_due(now)
        ]

    def pop_missed(self) -> int:
        """Return how many turns of an asset were passed over since the last call; the last batch counts as full."""
        return self._schedule.pop_missed() * len(self._batches[0])


class LocalJobQueue:
    """`aggregator.ports.JobQueue` of a process that refreshes everything by itself."""

    def __init__(
        self,
        catalog: Catalog,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        together: float = TOGETHER,
    ) -> None:
        self._catalog = catalog
        self._most = most
        self._together = together
        self._clock = clock
        self._schedules: dict[Tier, TierSchedule] = {}
        self._due: dict[Tier, deque[Job]] = {tier: deque() for tier in Tier}

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.get_running_loop().create_future()

    def warm_up_lock(self, tier: Tier) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # Work's signature
        """Return what keeps nobody from anything: there is nobody else."""
        return nullcontext()

    def upcoming(self, tier: Tier) -> list[str]:
        """Return the tier's symbols, first whoever's turn comes next."""
        return self._schedule_of(tier).upcoming()

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next job."""
        schedule, due = self._schedule_of(tier), self._due[tier]
        while not due:
            await asyncio.sleep(max(_TICK, schedule.next_due - self._clock()))
            due.extend(schedule.pop_due(self._clock()))
        return due.popleft()

    def waited(self, job: Job) -> float:
        """Return for how many seconds it has been due."""
        return self._clock() - job.due

    async def done(self, job: Job) -> None:
        """Nobody else waits to hear of it."""

    def pop_missed(self, tier: Tier) -> int:
        """Return how many turns of an asset in `tier` were passed over since the last call."""
        return self._schedule_of(tier).pop_missed()

    def _schedule_of(self, tier: Tier) -> TierSchedule:
        """Return the tier's schedule, which begins with the first call."""
        if tier not in self._schedules:
            self._schedules[tier] = TierSchedule(self._catalog, tier, self._most, self._clock(), self._together)
        return self._schedules[tier]
