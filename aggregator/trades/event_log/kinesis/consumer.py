"""The consumer of a Kinesis stream: takes leases of shards, reads them, keeps their checkpoints, passes them on.

    table of leases -> lease taken -> reader.py -> hand-over (bounded) -> processor -> processed -> checkpoint

A process that goes or wants fewer shards reads no further, lets the processor finish, writes the checkpoint, and gives
the lease back. The lease of a process that died may be taken once it has not been renewed for the time of the address.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import structlog

from aggregator.errors import StoreError
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.trades.event_log.kinesis.client import (
    Conflict,
    NotThere,
    ShardClients,
    Throttled,
)
from aggregator.trades.event_log.kinesis.leases import LeaseTable
from aggregator.trades.event_log.kinesis.page_queue import PageQueue
from aggregator.trades.event_log.kinesis.reader import ShardReader
from aggregator.trades.event_log.kinesis.shard_assignment import ShardAssignment
from aggregator.trades.event_log.kinesis.shard_plan import Lease, LeaseWatch, Shard, new_leases, old_leases, plan

_TICK_SECONDS = 0.05
_CHECKPOINT_SECONDS = 0.5
_RELEASE_SECONDS = 5.0  # for records in work, before a lease goes to another process
_LIST_SECONDS = 10.0
_LOOKS = 5  # at the leases, in the time after which one expires
_RENEWALS = 3  # of a lease in that time, so that it survives a failed one
_CLOSE_SECONDS = 10.0
_LONGEST_PAUSE = 1.0


class KinesisConsumer:
    """Reads the shards of this process into `pages`.

    `span` is the event time, in seconds, that windows reach back. `start` is where shards without a lease begin:
    TRIM_HORIZON or unix seconds.
    """

    def __init__(
        self,
        clients: ShardClients,
        span: float,
        start: str,
        metrics: TradeMetrics,
        pages: PageQueue,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._stream = clients.address.stream
        self._lease = clients.address.lease
        self._span = span
        self._start = start
        self._pages = pages
        self._clock = clock
        self._me = uuid.uuid4().hex
        self._table = LeaseTable(clients, self._me)
        self._reader = ShardReader(clients, pages, self.failing, metrics, clock)
        self._throttled = metrics.log_throttled.labels("leases").inc
        self._watch = LeaseWatch(self._lease)
        self._leases: dict[str, Lease] = {}
        self._shards: Sequence[Shard] = ()
        self._list_at = 0.0
        self._look = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None
        self._troubles: dict[str, str] = {}
        self.assignments: dict[str, ShardAssignment] = {}
        """By shard."""

        self.error: BaseException | None = None
        """The error that ended the reading."""

    async def open(self) -> None:
        """See that stream and table are there. Raises StoreUnavailable and StoreRefused."""
        await self._list()
        await self._table.open()

    def start(self) -> None:
        """Begin to take leases, unless that is done."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write the last checkpoints and give the leases back."""
        self._is_stopping = self._pages.is_closed = True
        self._look.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def trouble(self) -> str:
        """The reason why something cannot be read at present; empty while all can."""
        return next(iter(self._troubles.values()), "")

    def failing(self, what: str, error: str) -> None:
        """Note why a shard or the table cannot be read; an empty text once it can."""
        begins, ends = self._clients.log_events
        if not error:
            if self._troubles.pop(what, "") and not self._troubles:
                structlog.get_logger().info(ends, stream=self._stream)
            return
        if not self._troubles:
            structlog.get_logger().warning(begins, stream=self._stream, error=error)
        self._troubles[what] = error

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                while not self._is_stopping:
                    await self._balance(group)
                    await self._pause(self._lease / _LOOKS)
        except Exception as error:  # noqa: BLE001  # `next_batch` raises it: it ends the process
            self.error = error
            self._pages.wake()

    async def _pause(self, seconds: float) -> None:
        """Sleep, or until there is something to look at."""
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            return
        self._look.clear()

    async def _balance(self, group: asyncio.TaskGroup) -> None:
        """Create missing leases, and take or ask for this process' share."""
        try:
            if self._clock() >= self._list_at:
                await self._list()
            self._leases = await self._table.all()
            expired = self._watch.expired(self._leases.values(), self._clock())
            for lease in new_leases(self._shards, self._leases, self._start):
                await self._table.create(lease)
                self._leases[lease.shard] = lease
            if old_leases(self._shards, self._leases.values(), expired):
                await self._delete_old(expired)
            await self._take_share(expired, group)
        except StoreError as error:
            self._note("leases", error)
        else:
            self.failing("leases", "")

    async def _delete_old(self, expired: Collection[str]) -> None:
        """Delete the leases of shards that are not listed, after another look: the leases were read after the last."""
        await self._list()
        for lease in old_leases(self._shards, self._leases.values(), expired):
            if not lease.has_ended:
                structlog.get_logger().warning("shard_expired", stream=self._stream, shard=lease.shard)
            await self._table.delete(lease)
            del self._leases[lease.shard]

    async def _take_share(self, expired: Collection[str], group: asyncio.TaskGroup) -> None:
        for lease in self._leases.values():
            if lease.owner == self._me and lease.shard not in self.assignments and not lease.has_ended:
                await self._begin(lease, group)  # another process has passed it on
        wanted = plan(self._leases.values(), expired, self._me)
        for lease in wanted.take:
            await self._begin(lease, group)
        if wanted.ask is not None:
            with suppress(Conflict):  # it has another owner now
                await self._table.ask(wanted.ask)

    async def _begin(self, lease: Lease, group: asyncio.TaskGroup) -> None:
        """Take a lease and read its shard, unless another process was faster."""
        taken_at = self._clock()
        try:
            taken = await self._table.take(lease)
        except Conflict:
            return
        one = self.assignments[lease.shard] = ShardAssignment(taken, taken_at, self._span)
        group.create_task(self._own(one))
        structlog.get_logger().info("partitions_assigned", stream=self._stream, partitions=self._numbers)

    @property
    def _numbers(self) -> list[int]:
        return sorted(one.partition for one in self.assignments.values())

    async def _own(self, one: ShardAssignment) -> None:
        """Read a shard and keep its lease, until it ends, is lost, or goes to another process."""
        reader = asyncio.create_task(self._reader.read(one))
        try:
            while not (one.is_lost or one.has_ended or one.wanted_by or self._is_stopping):
                await self._tick(one)
                if reader.done() and not one.has_ended:
                    reader.result()  # raises what ended it, if it was not the loss of the lease
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self.failing(one.shard, "")
        await self._end(one)
        del self.assignments[one.shard]
        structlog.get_logger().info("partitions_revoked", stream=self._stream, partitions=[one.partition])
        self._list_at = 0.0 if one.has_ended else self._list_at
        self._look.set()

    async def _end(self, one: ShardAssignment) -> None:
        """Have the records in work processed, then give the lease up."""
        self._pages.end(one)
        deadline = self._clock() + _RELEASE_SECONDS
        while not (one.released.is_set() or one.is_lost or self._is_stopping):
            if self._clock() > deadline and not one.has_ended:
                break
            await self._tick(one)
        if not one.is_lost:
            await self._give_up(one)

    async def _give_up(self, one: ShardAssignment) -> None:
        """Write the last checkpoint, and pass the lease to the process that wants it."""
        is_finished, (checkpoint, windows) = one.has_ended and one.released.is_set(), one.checkpoint
        one.is_lost = True  # what is still in work is neither published nor committed
        backoff, deadline = Backoff(_LONGEST_PAUSE), self._clock() + self._lease
        while self._clock() < deadline:
            try:
                if is_finished:
                    await self._table.finish(one.shard)
                else:
                    await self._table.give(one.shard, checkpoint, windows, one.wanted_by)
            except Conflict:
                return
            except StoreError as error:
                self._note(f"lease of {one.shard}", error)
                await backoff.pause()
            else:
                self.failing(f"lease of {one.shard}", "")
                return

    async def _tick(self, one: ShardAssignment) -> None:
        """Renew the lease and write the checkpoint, if that is due; then wait a moment."""
        now, (position, _) = self._clock(), one.processed
        is_due = position > one.sent and now - one.confirmed_at >= _CHECKPOINT_SECONDS
        if not (one.is_asked or is_due or now - one.confirmed_at >= self._lease / _RENEWALS):
            await asyncio.sleep(_TICK_SECONDS)
            return
        checkpoint, windows = one.checkpoint
        try:
            lease = await self._table.renew(one.shard, checkpoint, windows)
        except Conflict:
            structlog.get_logger().warning("lease_lost", stream=self._stream, shard=one.shard)
            one.is_lost = True
        except StoreError as error:
            self._note(f"lease of {one.shard}", error)
            await asyncio.sleep(_TICK_SECONDS * 4)
        else:
            self.failing(f"lease of {one.shard}", "")
            one.confirmed_at, one.is_asked, one.sent, one.wanted_by = now, False, position, lease.wanted_by

    def _note(self, what: str, error: StoreError) -> None:
        if isinstance(error, Throttled):
            self._throttled()
        self.failing(what, str(error))

    async def _list(self) -> None:
        self._shards = await self._clients.shards()
        if not self._shards:
            raise NotThere(f"the stream {self._stream} has no shards")
        self._list_at = self._clock() + _LIST_SECONDS
