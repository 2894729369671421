"""The job queue that refreshers share: one Redis Stream a tier, `<prefix>jobs:<tier>`, read by one consumer group.

Every refresher keeps the same schedule by Redis' clock and adds each job when it is due. A job's id is its due time.
A stream takes each id once, so the first refresher adds the job for all. The group hands the job to one refresher; the
others claim the jobs that a dead refresher has not finished. While Redis is away, each refresher does every job itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from aggregator.cluster.clock import RedisClock
from aggregator.cluster.consumer_group import Entry, Group
from aggregator.errors import StoreUnavailable
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Job
from aggregator.prices.schedule import TOGETHER, TierSchedule
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import RedisClient, mapped

_TICK = 0.02  # seconds; due times closer together than this are issued together
_SYNC_SECONDS = 10.0
_OWN_SECONDS = 0.5  # the longest pause while Redis is away, during which a job of our own may come
_CLAIM_SECONDS = 1.0  # between two looks for jobs somebody else has left unfinished
_FILL_LOCK, _RENEW = 2.0, 0.5  # seconds for which the lock outlives its holder, and after which it is renewed
_FILL_PATIENCE = 60.0  # seconds after which a tier is filled though somebody else is filling it


class _Lane:
    """One tier's jobs, as this refresher sees them."""

    def __init__(self, group: Group, assets: int) -> None:
        self.group = group
        self.own: deque[Job] = deque(maxlen=assets)  # what was due while Redis was away
        self.claim_at = 0.0  # by our monotonic clock, which nobody sets
        self.missed = 0


class SharedJobQueue:
    """`aggregator.ports.JobQueue`. `name` is unique; a job not done after `abandoned` seconds is claimed."""

    def __init__(
        self,
        client: RedisClient,
        catalog: Catalog,
        most: int,
        metrics: Metrics,
        name: str,
        abandoned: float,
        together: float = TOGETHER,
    ) -> None:
        self._redis = client.redis
        self._stream = f"{client.prefix}jobs:"
        self._fill = f"{client.prefix}filling:"
        self._catalog = catalog
        self._most = most
        self._together = together
        self._metrics = metrics
        self._abandoned_ms = round(abandoned * 1000)
        self._clock = RedisClock(client)
        self._lanes = {
            tier: _Lane(Group(client, self._stream + tier, name), len(catalog.of(tier)))
            for tier in Tier
            if catalog.of(tier)
        }
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Issue every tier's jobs as they are due; never returns."""
        with suppress(StoreUnavailable):
            await self._clock.sync()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tidy())
            for tier, lane in self._lanes.items():
                group.create_task(self._issue(tier, lane))

    @asynccontextmanager
    async def warm_up_lock(self, tier: Tier) -> AsyncIterator[None]:
        """Keep the others from filling the tier at the same time; whoever comes next finds what is filled."""
        lock = self._redis.lock(self._fill + tier, timeout=_FILL_LOCK, blocking_timeout=_FILL_PATIENCE)
        try:
            with mapped():
                await lock.acquire()
        except StoreUnavailable:
            self._log.debug("filling_without_lock", tier=tier.value)

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW)
                with suppress(StoreUnavailable), mapped():
                    await lock.reacquire()

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(StoreUnavailable), mapped():
                await lock.release()

    def upcoming(self, tier: Tier) -> list[str]:
        """Return the tier's symbols, first whoever's turn comes next by Redis' clock."""
        return self._schedule_of(tier).upcoming()

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next job: our own from while Redis was away, one a dead refresher left, or a new one."""
        backoff, lane = Backoff(_OWN_SECONDS), self._lanes[tier]
        while True:
            try:
                job = lane.own.popleft() if lane.own else await self._next(tier, lane)
            except StoreUnavailable:
                await backoff.pause()
                continue
            backoff = Backoff(_OWN_SECONDS)
            if job is not None and await self._is_current(job):
                return job

    def waited(self, job: Job) -> float:
        """Return for how many seconds it has been due, by Redis' clock."""
        return self._clock.now() - job.due

    async def done(self, job: Job) -> None:
        """Let nobody claim it. If Redis does not hear of it, it will be claimed and done again, which does no harm."""
        if not job.id:
            return
        try:
            with mapped():
                await self._lanes[job.tier].group.acknowledge(job.id)
        except StoreUnavailable as error:
            self._log.debug("job_not_acknowledged", job=job.id, error=str(error))

    def pop_missed(self, tier: Tier) -> int:
        """Return how many turns of an asset in `tier` were passed over since the last call."""
        lane = self._lanes[tier]
        missed, lane.missed = lane.missed, 0
        return missed

    async def _issue(self, tier: Tier, lane: _Lane) -> None:
        schedule, interval = self._schedule_of(tier), self._catalog.cadence[tier].interval
        while True:
            if schedule.next_due > self._clock.now() + interval:  # Redis' clock was set back
                schedule = self._schedule_of(tier)
            await asyncio.sleep(max(_TICK, schedule.next_due - self._clock.now()))
            jobs = schedule.pop_due(self._clock.now())
            lane.missed += schedule.pop_missed()
            try:
                with mapped():
                    await self._add(tier, jobs)
            except StoreUnavailable:
                lane.own.extend(jobs)
                self._metrics.jobs.labels(tier.value, "own").inc(len(jobs))

    def _schedule_of(self, tier: Tier) -> TierSchedule:
        """Return the schedule from now on: what was due before we came was somebody else's to issue, or is filled."""
        # From one moment for all, so that due times are equal bits.
        schedule = TierSchedule(self._catalog, tier, self._most, 0.0, self._together)
        schedule.pop_due(self._clock.now())
        schedule.pop_missed()
        return schedule

    async def _add(self, tier: Tier, jobs: Sequence[Job]) -> None:
        """Put the jobs into the stream unless they are there already, and let go of what nobody will do any more."""
        oldest = round((self._clock.now() - 2 * self._catalog.cadence[tier].interval) * 1000)
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.xadd(
                    self._stream + tier,
                    {"symbols": ",".join(job.symbols)},
                    id=_id(job.due),
                    minid=oldest,
                )
            answers = await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and "equal or smaller" not in str(answer):
                raise answer

    async def _next(self, tier: Tier, lane: _Lane) -> Job | None:
        with mapped():
            if time.monotonic() >= lane.claim_at:
                entry = await lane.group.claim(self._abandoned_ms)
                if entry is not None:
                    return self._job(tier, entry, "claimed")
                lane.claim_at = time.monotonic() + _CLAIM_SECONDS
            entry = await lane.group.read()
            return None if entry is None else self._job(tier, entry, "taken")

    def _job(self, tier: Tier, entry: Entry, how: str) -> Job:
        self._metrics.jobs.labels(tier.value, how).inc()
        return Job(tier, tuple(entry.fields.get("symbols", "").split(",")), entry.time, id=entry.id)

    async def _is_current(self, job: Job) -> bool:
        """Whether nobody can have been asked to do the same since; else there is no need to do this one any more."""
        if self.waited(job) <= self._catalog.cadence[job.tier].interval:
            return True
        self._lanes[job.tier].missed += len(job.symbols)
        self._metrics.jobs.labels(job.tier.value, "outdated").inc()
        await self.done(job)
        return False

    async def _tidy(self) -> None:
        """Follow Redis' clock, and forget refreshers that are no more."""
        while True:
            with suppress(StoreUnavailable):
                await self._clock.sync()
                for lane in self._lanes.values():
                    with mapped():
                        await lane.group.forget_the_gone()
            await asyncio.sleep(_SYNC_SECONDS)


def _id(due: float) -> str:
    """Return the id of the job that is due then, in Redis' milliseconds and the microseconds beyond: ids grow."""
    milliseconds, micros = divmod(round(due * 1e6), 1000)
    return f"{milliseconds}-{micros}"
