"""The schedule: a tier's assets in batches, each batch due once per interval."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import NamedTuple

from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.prices.tiers import Catalog

_TICK = 0.02  # seconds; the queue wakes up no more often than this
TOGETHER = 1.0  # seconds within which due assets share a job, although their due times would be spread evenly


def batches(symbols: Sequence[str], interval: float, most: int, together: float = TOGETHER) -> list[list[str]]:
    """Return a tier's symbols in batches of at most `most`, each of assets due within about `together` seconds."""
    size = max(1, min(most, round(len(symbols) / interval * together)))
    return [list(symbols[first : first + size]) for first in range(0, len(symbols), size)]


class Slot(NamedTuple):
    """A due time of a batch; `place` is the index of the batch."""

    place: int
    due: float


class Schedule:
    """Round-robin schedule of `count` places: each is due once per `interval` seconds from `start`, evenly spread.

    Slot `n` belongs to place `n % count`, and its due time is computed from `n` alone, so late calls cause no drift.
    After a delay of more than one interval each place is due once, not once per interval; the skipped slots are
    counted as missed.
    """

    def __init__(self, count: int, interval: float, start: float) -> None:
        if count < 1 or interval <= 0:
            raise ValueError("a schedule needs at least one place and a positive interval")
        self._count = count
        self._interval = interval
        self._start = start
        self._slot = 0
        self._missed = 0

    @property
    def next_due(self) -> float:
        """The due time of the next slot."""
        return self._due(self._slot)

    @property
    def next_place(self) -> int:
        """The place of the next slot."""
        return self._slot % self._count

    def pop_due(self, now: float) -> list[Slot]:
        """Return the slots due by `now`, oldest first and one per place at most; advance past them."""
        end = self._first_after(now)
        if end <= self._slot:
            return []
        begin = max(self._slot, end - self._count)
        self._missed += begin - self._slot
        self._slot = end
        return [Slot(slot % self._count, self._due(slot)) for slot in range(begin, end)]

    def pop_missed(self) -> int:
        """Return how many slots were skipped since the last call."""
        missed, self._missed = self._missed, 0
        return missed

    def _due(self, slot: int) -> float:
        cycle, place = divmod(slot, self._count)
        return self._start + cycle * self._interval + place * self._interval / self._count

    def _first_after(self, now: float) -> int:
        """Return the first slot due after `now`: estimated by division, then corrected by `_due`."""
        slot = max(0, int((now - self._start) / self._interval * self._count))
        while self._due(slot) <= now:
            slot += 1
        while slot > 0 and self._due(slot - 1) > now:
            slot -= 1
        return slot


class TierSchedule:
    """Round-robin schedule of one tier. When re-ranking swaps assets, the newcomer inherits slot and due time."""

    def __init__(self, catalog: Catalog, tier: Tier, most: int, start: float, together: float = TOGETHER) -> None:
        interval = catalog.cadence[tier].interval
        self.tier = tier
        self._catalog = catalog
        self._batches = batches(catalog.slots(tier), interval, most, together)
        self._schedule = Schedule(len(self._batches), interval, start)

    @property
    def next_due(self) -> float:
        """The due time of the next batch."""
        return self._schedule.next_due

    def upcoming(self) -> list[str]:
        """Return the tier's symbols, the one that is due next first."""
        place = self._schedule.next_place
        return [
            self._catalog.asset_in_slot(slot)
            for batch in self._batches[place:] + self._batches[:place]
            for slot in batch
        ]

    def pop_due(self, now: float) -> list[Job]:
        """Return a job for each batch that is due by `now`."""
        return [
            Job(self.tier, tuple(map(self._catalog.asset_in_slot, self._batches[place])), due)
            for place, due in self._schedule.pop_due(now)
        ]

    def pop_missed(self) -> int:
        """Return how many due refreshes of an asset were skipped since the last call; a batch counts as full."""
        return self._schedule.pop_missed() * len(self._batches[0])


class LocalJobQueue:
    """`aggregator.ports.JobQueue` of a process that shares the schedule with no other process."""

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
        """Wait for ever: a local queue has no background work."""
        await asyncio.get_running_loop().create_future()

    def warm_up_lock(self, tier: Tier) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # JobQueue's signature
        """No-op lock: a single process needs no coordination."""
        return nullcontext()

    def upcoming(self, tier: Tier) -> list[str]:
        """Return the tier's symbols, the one that is due next first."""
        return self._schedule_of(tier).upcoming()

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next due job and return it."""
        schedule, due = self._schedule_of(tier), self._due[tier]
        while not due:
            await asyncio.sleep(max(_TICK, schedule.next_due - self._clock()))
            due.extend(schedule.pop_due(self._clock()))
        return due.popleft()

    def waited(self, job: Job) -> float:
        """Return for how many seconds the job has been due."""
        return self._clock() - job.due

    async def done(self, job: Job) -> None:
        """Nothing to do: no other process waits for the job."""

    def pop_missed(self, tier: Tier) -> int:
        """Return how many due refreshes of the tier's assets were skipped since the last call."""
        return self._schedule_of(tier).pop_missed()

    def _schedule_of(self, tier: Tier) -> TierSchedule:
        """Return the tier's schedule, which starts with the first call."""
        if tier not in self._schedules:
            self._schedules[tier] = TierSchedule(self._catalog, tier, self._most, self._clock(), self._together)
        return self._schedules[tier]
