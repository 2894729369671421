"""The job queue that refreshers share: one Redis Stream a tier, `<prefix>jobs:<tier>`, read by one consumer group.

Every refresher keeps the same schedule by Redis' clock and adds each job when it is due. A job's id is its due time.
A stream takes each id once, so the first refresher adds the job for all. The group hands the job to one refresher; the
others claim the jobs that a dead refresher has not finished. While Redis is away, each refresher does every job itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from aggregator.cluster.consumer_group import Entry, Group, RedisClock
from aggregator.errors import StoreUnavailable
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Job
from aggregator.prices.schedule import TOGETHER, TierSchedule
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.stores.redis.client import RedisClient, mapped

_TICK = 0.02  # seconds; jobs whose due times are closer together than this are added in one call
_SYNC_SECONDS = 10.0
_LONGEST_PAUSE = 0.5  # seconds between attempts while Redis is away; jobs of our own wait for it
_CLAIM_SECONDS = 1.0  # between two attempts to claim a job that another refresher has not finished
_LEFT_SECONDS = 0.2  # between two looks whether a tier's jobs are still left to the others
_LOCK_SECONDS, _RENEW_SECONDS = 2.0, 0.5  # the warm-up lock expires after the first, and is renewed after the second
_LOCK_WAIT_SECONDS = 60.0  # then a tier is warmed up even if another refresher holds the lock


class _TierState:
    """One tier's jobs, as this refresher sees them."""

    def __init__(self, group: Group, assets: int) -> None:
        self.group = group
        self.own: deque[Job] = deque(maxlen=assets)  # jobs that were due while Redis was away
        self.claim_at = 0.0  # time of the next claim, by our monotonic clock
        self.missed = 0


class SharedJobQueue:
    """`aggregator.ports.JobQueue`. `name` is unique among refreshers.

    A job has at most `most` assets. A job that is not done `abandoned` seconds after it was taken is claimed by another
    refresher. Shared jobs of a tier are left to the others while `takes` is false for it.
    """

    def __init__(
        self,
        client: RedisClient,
        catalog: Catalog,
        most: int,
        metrics: Metrics,
        name: str,
        abandoned: float,
        together: float = TOGETHER,
        takes: Callable[[Tier], bool] = lambda _: True,
    ) -> None:
        self._redis = client.redis
        self._takes = takes
        self._stream = f"{client.prefix}jobs:"
        self._lock_key = f"{client.prefix}filling:"
        self._catalog = catalog
        self._most = most
        self._together = together
        self._metrics = metrics
        self._abandoned_ms = round(abandoned * 1000)
        self._clock = RedisClock(client)
        self._states = {
            tier: _TierState(Group(client, self._stream + tier, name), len(catalog.of(tier)))
            for tier in Tier
            if catalog.of(tier)
        }
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Add every tier's jobs to the streams when they are due; never returns."""
        with suppress(StoreUnavailable):
            await self._clock.sync()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_in_step())
            for tier, state in self._states.items():
                group.create_task(self._issue(tier, state))

    @asynccontextmanager
    async def warm_up_lock(self, tier: Tier) -> AsyncIterator[None]:
        """Hold the lock of the tier's warm-up. The next holder finds the prices of the warm-up before it.

        Without Redis, and after a minute of waiting, the warm-up goes on without the lock.
        """
        lock = self._redis.lock(self._lock_key + tier, timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_WAIT_SECONDS)
        try:
            with mapped():
                await lock.acquire()
        except StoreUnavailable:
            self._log.debug("filling_without_lock", tier=tier.value)

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW_SECONDS)
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
        """Return the tier's symbols in the order in which they fall due, by Redis' clock."""
        return self._schedule_of(tier).upcoming()

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next job.

        There are three kinds: one of our own that was due while Redis was away, one that another refresher has not
        finished, and a new one.
        """
        backoff, state = Backoff(_LONGEST_PAUSE), self._states[tier]
        while True:
            try:
                job = state.own.popleft() if state.own else await self._next_shared(tier, state)
            except StoreUnavailable:
                await backoff.pause()
                continue
            backoff = Backoff(_LONGEST_PAUSE)
            if job is not None and await self._is_current(job):
                return job

    def waited(self, job: Job) -> float:
        """Return for how many seconds the job has been due, by Redis' clock."""
        return self._clock.now() - job.due

    async def done(self, job: Job) -> None:
        """Acknowledge the job. If that fails, another refresher does the job again, which does no harm."""
        if not job.id:
            return
        try:
            with mapped():
                await self._states[job.tier].group.acknowledge(job.id)
        except StoreUnavailable as error:
            self._log.debug("job_not_acknowledged", job=job.id, error=str(error))

    def pop_missed(self, tier: Tier) -> int:
        """Return how many slots of the tier were missed since the last call."""
        state = self._states[tier]
        missed, state.missed = state.missed, 0
        return missed

    async def _issue(self, tier: Tier, state: _TierState) -> None:
        schedule, interval = self._schedule_of(tier), self._catalog.cadence[tier].interval
        while True:
            if schedule.next_due > self._clock.now() + interval:  # Redis' clock was set back
                schedule = self._schedule_of(tier)
            await asyncio.sleep(max(_TICK, schedule.next_due - self._clock.now()))
            jobs = schedule.pop_due(self._clock.now())
            state.missed += schedule.pop_missed()
            try:
                with mapped():
                    await self._add(tier, jobs)
            except StoreUnavailable:
                state.own.extend(jobs)
                self._metrics.jobs.labels(tier.value, "own").inc(len(jobs))

    def _schedule_of(self, tier: Tier) -> TierSchedule:
        """Return the tier's schedule from now on.

        Jobs that were due earlier were added by other refreshers, or are part of the warm-up.
        """
        # All refreshers start at 0.0, so that they compute the same due times to the last bit.
        schedule = TierSchedule(self._catalog, tier, self._most, 0.0, self._together)
        schedule.pop_due(self._clock.now())
        schedule.pop_missed()
        return schedule

    async def _add(self, tier: Tier, jobs: Sequence[Job]) -> None:
        """Add the jobs to the stream unless another refresher has, and trim jobs that are too old to be done."""
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

    async def _next_shared(self, tier: Tier, state: _TierState) -> Job | None:
        if not self._takes(tier):
            await asyncio.sleep(_LEFT_SECONDS)
            return None
        with mapped():
            if time.monotonic() >= state.claim_at:
                entry = await state.group.claim(self._abandoned_ms)
                if entry is not None:
                    return self._job_of(tier, entry, "claimed")
                state.claim_at = time.monotonic() + _CLAIM_SECONDS
            entry = await state.group.read()
            return None if entry is None else self._job_of(tier, entry, "taken")

    def _job_of(self, tier: Tier, entry: Entry, how: str) -> Job:
        self._metrics.jobs.labels(tier.value, how).inc()
        return Job(tier, tuple(entry.fields.get("symbols", "").split(",")), entry.time, id=entry.id)

    async def _is_current(self, job: Job) -> bool:
        """Whether no later job of the same assets can be due yet; if one can, this job is not needed any more."""
        if self.waited(job) <= self._catalog.cadence[job.tier].interval:
            return True
        self._states[job.tier].missed += len(job.symbols)
        self._metrics.jobs.labels(job.tier.value, "outdated").inc()
        await self.done(job)
        return False

    async def _keep_in_step(self) -> None:
        """Keep the clock in step with Redis', and delete consumers of refreshers that have ended; never returns."""
        while True:
            with suppress(StoreUnavailable):
                await self._clock.sync()
                for state in self._states.values():
                    with mapped():
                        await state.group.forget_the_gone()
            await asyncio.sleep(_SYNC_SECONDS)


def _id(due: float) -> str:
    """Return the id of a job that is due at `due` unix seconds: its milliseconds and, as sequence, the microseconds."""
    milliseconds, micros = divmod(round(due * 1e6), 1000)
    return f"{milliseconds}-{micros}"
