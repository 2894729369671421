"""Whose turn it is: a tier's assets in batches, each due once per interval."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from aggregator.models import Tier
from aggregator.ports import Job
from aggregator.prices.tiers import TOGETHER, Catalog, Schedule, batches

_TICK = 0.02  # seconds; due times closer together than this are taken together


class Rota:
    """One tier's batches on a circle, of seats: who leaves the tier leaves its seat, and turn, to who comes."""

    def __init__(self, catalog: Catalog, tier: Tier, most: int, start: float, together: float = TOGETHER) -> None:
        interval = catalog.cadence[tier].interval
        self.tier = tier
        self._catalog = catalog
        self._batches = batches(catalog.seats(tier), interval, most, together)
        self._schedule = Schedule(len(self._batches), interval, start)

    @property
    def next_due(self) -> float:
        """When the next batch is due."""
        return self._schedule.next_due

    def upcoming(self) -> list[str]:
        """Return everybody's symbol, first whoever's turn comes next."""
        place = self._schedule.next_place
        return [self._catalog.seated(seat) for batch in self._batches[place:] + self._batches[:place] for seat in batch]

    def take(self, now: float) -> list[Job]:
        """Return what is due by `now`, each batch at most once."""
        return [
            Job(self.tier, tuple(map(self._catalog.seated, self._batches[place])), due)
            for place, due in self._schedule.take(now)
        ]

    def pop_missed(self) -> int:
        """Return how many turns of an asset were passed over since the last call; the last batch counts as full."""
        return self._schedule.pop_missed() * len(self._batches[0])


class OwnWork:
    """`aggregator.ports.Work` of a process that refreshes everything by itself."""

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
        self._rotas: dict[Tier, Rota] = {}
        self._due: dict[Tier, deque[Job]] = {tier: deque() for tier in Tier}

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.get_running_loop().create_future()

    def filling(self, tier: Tier) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # Work's signature
        """Return what keeps nobody from anything: there is nobody else."""
        return nullcontext()

    def upcoming(self, tier: Tier) -> list[str]:
        """Return the tier's symbols, first whoever's turn comes next."""
        return self._rota(tier).upcoming()

    async def take(self, tier: Tier) -> Job:
        """Wait for the tier's next job."""
        rota, due = self._rota(tier), self._due[tier]
        while not due:
            await asyncio.sleep(max(_TICK, rota.next_due - self._clock()))
            due.extend(rota.take(self._clock()))
        return due.popleft()

    def waited(self, job: Job) -> float:
        """Return for how many seconds it has been due."""
        return self._clock() - job.due

    async def done(self, job: Job) -> None:
        """Nobody else waits to hear of it."""

    def pop_missed(self, tier: Tier) -> int:
        """Return how many turns of an asset in `tier` were passed over since the last call."""
        return self._rota(tier).pop_missed()

    def _rota(self, tier: Tier) -> Rota:
        """Return the tier's rota, which begins with the first call."""
        if tier not in self._rotas:
            self._rotas[tier] = Rota(self._catalog, tier, self._most, self._clock(), self._together)
        return self._rotas[tier]
