"""Sends the events that wait for one outlet: several batches at a time, those of an asset in their order.

intake -> lanes -> outlet: deleted from the file
                   refused three times: dead letters, in the same file
                   batch refused: in front of their lanes again, in batches of half the size
                   away: in front of their lanes again, after a pause
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet

import structlog

from aggregator.errors import printable
from aggregator.observability.bounded_log import BoundedLog
from aggregator.observability.metrics.outlets import OutletMetrics
from aggregator.outlets.outbox.deletions import Deletions
from aggregator.outlets.outbox.intake import Intake
from aggregator.outlets.outbox.lanes import Lanes, Waiting
from aggregator.outlets.outbox.queue_file import Queued, QueueFile, digest_of
from aggregator.outlets.ports import Answer, Outlet, OutletAway, OutletEnded, Verdict
from aggregator.resilience.backoff import Backoff
from aggregator.resilience.waiting import until_available, wait_at_most
from aggregator.stores.waiting_file import Appended

SEND_SECONDS = 45.0  # longer than any adapter takes: Kafka's library gives up after 30 s
ATTEMPTS = 3  # of an event that is refused
MOST_PAUSE = 300.0  # seconds that an outlet may ask for
_POLL_SECONDS = 0.5
_NANOSECONDS = 1e9
ENDED = "ended"

Taken = Callable[[Sequence[str]], Awaitable[AbstractSet[str]]]
"""Claims digests of keys for this process's file; returns those that another machine has claimed."""


class OutletSender:
    """Sends what waits in `file` for the outlet `name`. `is_sender` tells whether this process does so now.

    With `taken`, keys that another machine sends are left to it.

    `trouble` is why it is away, `ended` why it takes no events any more; both empty while it takes them.
    """

    def __init__(
        self,
        name: str,
        outlet: Outlet,
        file: QueueFile,
        metrics: OutletMetrics,
        is_sender: Callable[[], bool],
        now: Callable[[], float] = time.time,
        taken: Taken | None = None,
    ) -> None:
        self.name = name
        self.trouble = ""
        self.ended = ""
        self._outlet = outlet
        self._file = file
        self._metrics = metrics
        self._is_sender = is_sender
        self._now = now
        self._taken = taken
        self._lanes = Lanes(outlet.most_events, outlet.most_bytes, is_atomic=outlet.is_atomic)
        self._attempts: dict[int, int] = {}  # refusals of an event that waits
        self._ready = asyncio.Event()
        self._intake = Intake(name, file, self._lanes, is_sender, self._ready)
        self._deletions = Deletions(file)
        self._not_before = 0.0  # monotonic seconds
        self._delivered = metrics.delivered.labels(name)
        self._delay = metrics.delay.labels(name)
        self._log = structlog.get_logger().bind(outlet=name)
        self._event_log = BoundedLog(outlet=name)
        metrics.begin(name)

    @property
    def problem(self) -> str:
        """The reason why the outlet takes no events now; empty while it takes them."""
        return f"{ENDED}: {self.ended}" if self.ended else self.trouble

    def offer(self, rows: Sequence[Waiting], appended: Appended[Queued]) -> None:
        """As `Intake.offer`."""
        self._intake.offer(rows, appended)

    async def run(self) -> None:
        """Send what waits; returns only once the outlet has ended."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._intake.run())
                for _ in range(self._outlet.lanes):
                    group.create_task(self._send_batches())
        except* OutletEnded as errors:
            self.ended = printable(str(errors.exceptions[0]))

    async def _send_batches(self) -> None:
        """Send batch after batch; never returns. Raises OutletEnded."""
        backoff = Backoff()
        while True:
            batch = await self._next_batch()
            ours = await self._ours(batch)
            again = await self._send(ours) if ours else ()
            self._lanes.settle(batch, again)
            self._ready.set()
            self._intake.settled()
            if again:
                await backoff.pause()
            else:
                backoff = Backoff()

    async def _next_batch(self) -> Sequence[Waiting]:
        while True:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            if self._is_sender() and (batch := self._lanes.take()):
                return batch
            self._ready.clear()
            await wait_at_most(self._ready, _POLL_SECONDS)

    async def _ours(self, batch: Sequence[Waiting]) -> Sequence[Waiting]:
        """Claim the keys of a batch; delete the rows whose keys another machine sends, and return the others."""
        if self._taken is None:
            return batch
        digests = {row.id: digest_of(row.record).hex() for row in batch}
        taken = await self._taken(list(digests.values()))
        theirs = [row for row in batch if digests[row.id] in taken]
        if theirs:
            await until_available(lambda: self._deletions.delivered(theirs))
            self._metrics.repeated.labels(self.name).inc(len(theirs))
        return [row for row in batch if digests[row.id] not in taken]

    async def _send(self, batch: Sequence[Waiting]) -> Sequence[Waiting]:
        """Send a batch once; return the rows that are to be sent again."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                answers = await self._outlet.send([row.record.event for row in batch])
            if len(answers) != len(batch):
                return self._away(batch, OutletAway("an answer of another length", is_unsure=True))
        except OutletAway as error:
            return self._away(batch, error)
        except TimeoutError:
            return self._away(batch, OutletAway(f"no answer within {SEND_SECONDS:.0f} s", is_unsure=True))
        except OutletEnded:
            raise
        except Exception as error:  # noqa: BLE001  # an outlet's library may raise anything, and must end no process
            return self._away(batch, OutletAway(repr(error), is_unsure=True))
        delivered = [row for row, one in zip(batch, answers, strict=True) if one.verdict is Verdict.DELIVERED]
        if delivered:
            await until_available(lambda: self._deletions.delivered(delivered))
            for row in delivered if self._attempts else ():
                self._attempts.pop(row.id, None)
            self._delivered.inc(len(delivered))
            self._delay.observe(max(0.0, self._now() - delivered[0].id / _NANOSECONDS))
        if len(delivered) == len(batch):
            self._report("")
            return ()
        return await self._not_delivered(batch, answers)

    async def _not_delivered(self, batch: Sequence[Waiting], answers: Sequence[Answer]) -> Sequence[Waiting]:
        if len(batch) > 1 and answers[0].verdict is Verdict.BATCH_REFUSED:
            self._lanes.halve(batch)
            return batch
        again: list[Waiting] = []
        for row, answer in zip(batch, answers, strict=True):
            if answer.verdict is Verdict.RETRY:
                self._report(answer.reason)
                self._metrics.retries.labels(self.name).inc()
                again.append(row)
            elif answer.verdict is not Verdict.DELIVERED:
                self._attempts[row.id] = self._attempts.get(row.id, 0) + 1
                if self._attempts[row.id] < ATTEMPTS:
                    again.append(row)
                else:
                    await self._bury(row, answer.reason)
        return again

    async def _bury(self, row: Waiting, reason: str) -> None:
        await until_available(lambda: self._file.move_to_dead_letters(row, printable(reason), self._now()))
        self._attempts.pop(row.id, None)
        self._metrics.refused.labels(self.name).inc()
        self._event_log.error(
            "refused_by_outlet", topic=row.record.topic, asset=row.record.asset, reason=printable(reason)
        )

    def _away(self, batch: Sequence[Waiting], error: OutletAway) -> Sequence[Waiting]:
        self._report(str(error) or "away")
        self._metrics.retries.labels(self.name).inc(len(batch))
        if error.is_unsure:
            self._metrics.unsure.labels(self.name).inc(len(batch))
        if error.retry_after is not None:
            self._not_before = time.monotonic() + min(max(0.0, error.retry_after), MOST_PAUSE)
        return batch

    def _report(self, trouble: str) -> None:
        """Log when the outlet begins to fail and when it is back, not every failure."""
        trouble = printable(trouble)
        if trouble and not self.trouble:
            self._log.warning("delivery_failing", error=trouble)
        elif self.trouble and not trouble:
            self._log.info("delivery_recovered")
        self.trouble = trouble
        self._metrics.away.labels(self.name).set(int(bool(trouble)))
