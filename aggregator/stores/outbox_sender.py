"""Sends the rows of an outbox's file to its remote table, in batches, several in flight.

file -> batches -> table: removed from the file
                   refused: dead letters, in the same file
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable
from aggregator.observability.bounded_log import BoundedLog
from aggregator.observability.trouble_log import TroubleLog
from aggregator.resilience.backoff import Backoff
from aggregator.resilience.waiting import until_available, wait_at_most
from aggregator.stores.record_kind import Record
from aggregator.stores.waiting_file import Row, WaitingFile

R = TypeVar("R", bound=Record)

BATCHES_IN_FLIGHT = 4
READ_ROWS = 500
_LINGER = 2.0  # seconds that a batch which is not full waits for more rows: a call costs the same for one row
_RESCAN_SECONDS = 5.0  # between two scans of the file from its first row
_POLL_SECONDS = 1.0  # between two looks for rows of other processes
_MEASURE_SECONDS = 1.0


class RemoteTable(Protocol[R]):
    """The remote table of one kind of record; the fields are those of `aggregator.ports.Table`."""

    @property
    def name(self) -> str:
        """The name of the store in metrics and logs."""

    @property
    def batch(self) -> int:
        """The most records of one `put`."""

    async def put(self, records: Sequence[R], /) -> list[R]:
        """Put at most `batch` records of different keys; return those not taken. Raises StoreError."""


class Value(Protocol):
    """A gauge."""

    def set(self, value: float, /) -> None:
        """Set it."""


class Count(Protocol):
    """A counter."""

    def inc(self, amount: float = 1, /) -> None:
        """Add to it."""


class Distribution(Protocol):
    """A histogram."""

    def observe(self, amount: float, /) -> None:
        """Add a value to it."""


class SenderMetrics(msgspec.Struct, frozen=True):
    """The metrics of one outbox: rows, bytes, seconds of the oldest row; records per batch and sent; dead letters."""

    rows: Value
    bytes: Value
    oldest: Value
    batch: Distribution
    sent: Count
    retries: Count
    dead: Count
    dead_held: Value


class Sender(Generic[R]):
    """Sends the rows of `file` to `table`. A record may be sent twice, which must do no harm."""

    def __init__(
        self,
        file: WaitingFile[R],
        table: RemoteTable[R],
        metrics: SenderMetrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._key = file.kind.key
        self._table = table
        self._batch = min(table.batch, READ_ROWS)  # a larger one would never be full, and always wait for more
        self._metrics = metrics
        self._now = now
        self._batches: asyncio.Queue[list[Row[R]]] = asyncio.Queue(maxsize=1)
        self._in_flight: set[object] = set()  # keys
        self._ids_in_flight: set[int] = set()
        self._settled, self._arrived = asyncio.Event(), asyncio.Event()
        self._is_draining = False
        self._trouble = TroubleLog("table_failing", "table_recovered", store=table.name)
        self._log = structlog.get_logger().bind(store=table.name)
        self._event_log = BoundedLog(store=table.name)

    def notify(self) -> None:
        """Look for new rows at once."""
        self._arrived.set()

    async def run(self) -> None:
        """Send rows to the table, beginning with those of earlier runs; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue_rows())
            group.create_task(self._measure())
            for _ in range(BATCHES_IN_FLIGHT):
                group.create_task(self._send_batches())

    async def drain(self, patience: float) -> int | None:
        """Wait at most `patience` seconds until all rows are sent. The others stay in the file for the next start.

        Return how many rows stay; None where the file cannot be read.
        """
        self._is_draining = True
        self._arrived.set()
        with suppress(TimeoutError, StoreError):  # a file that cannot be read must not stop the shutdown
            async with asyncio.timeout(patience):
                await self._until_empty()
        with suppress(StoreError):
            rows = (await self._file.size()).rows
            if rows:
                self._log.info("left_in_outbox", rows=rows)
            return rows
        return None

    async def _queue_rows(self) -> None:
        """Queue the rows of the file as batches, oldest first; never returns."""
        last_id, rescan_at = 0, 0.0
        while True:
            if time.monotonic() >= rescan_at:
                # Rows may have smaller ids than the last one: from another process, or after a clock was set back.
                last_id, rescan_at = 0, time.monotonic() + _RESCAN_SECONDS
            rows = await self._next_rows(last_id)
            if rows:
                last_id = rows[-1].id
                await self._queue_batches(rows)
            else:
                await wait_at_most(self._arrived, _POLL_SECONDS)

    async def _next_rows(self, last_id: int) -> list[Row[R]]:
        """Return the next rows that are not in flight; waits `_LINGER` if they make no full batch."""
        self._arrived.clear()
        rows = await until_available(lambda: self._file.after(last_id, READ_ROWS))
        if 0 < len(rows) < self._batch and not self._is_draining:
            await asyncio.sleep(_LINGER)
            rows = await until_available(lambda: self._file.after(last_id, READ_ROWS))
        return [row for row in rows if row.id not in self._ids_in_flight]

    async def _queue_batches(self, rows: Sequence[Row[R]]) -> None:
        """Queue the rows as batches in which no key is in flight or occurs twice."""
        batch: list[Row[R]] = []
        for row in rows:
            if len(batch) == self._batch or (batch and self._key(row.record) in self._in_flight):
                await self._batches.put(batch)
                batch = []
            while self._key(row.record) in self._in_flight:  # two rows of one key must be sent in order
                self._settled.clear()
                await self._settled.wait()
            self._in_flight.add(self._key(row.record))
            self._ids_in_flight.add(row.id)
            batch.append(row)
        await self._batches.put(batch)

    async def _until_empty(self) -> None:
        self._settled.clear()  # before reading the size, so that no change is missed
        while (await self._file.size()).rows:
            await self._settled.wait()
            self._settled.clear()

    async def _send_batches(self) -> None:
        while True:
            await self._send_batch(await self._batches.get())

    async def _send_batch(self, batch: Sequence[Row[R]]) -> None:
        taken = await self._deliver(batch)
        await until_available(lambda: self._file.remove(taken))
        self._metrics.batch.observe(len(batch))
        self._metrics.sent.inc(len(taken))
        self._in_flight.difference_update(self._key(row.record) for row in batch)
        self._ids_in_flight.difference_update(row.id for row in batch)
        self._settled.set()
        self._arrived.set()

    async def _deliver(self, batch: Sequence[Row[R]]) -> list[Row[R]]:
        """Send a batch until the table has taken or refused each row; return the rows it has taken."""
        left = {self._key(row.record): row for row in batch}
        backoff = Backoff()
        while left:
            try:
                not_taken = await self._table.put([row.record for row in left.values()])
            except StoreRefused as refusal:
                return await self._deliver_one_by_one(list(left.values()), batch, str(refusal))
            except StoreUnavailable as error:
                self._trouble.report(str(error))
                not_taken = [row.record for row in left.values()]
            else:
                self._trouble.report("")
            left = {key: left[key] for key in map(self._key, not_taken)}
            if left:
                self._metrics.retries.inc(len(left))
                await backoff.pause()
        return list(batch)

    async def _deliver_one_by_one(self, left: Sequence[Row[R]], batch: Sequence[Row[R]], reason: str) -> list[Row[R]]:
        """Send each row of a refused batch alone, and move the one that is refused to the dead letters."""
        if len(left) == 1:
            await self._move_to_dead_letters(left[0], reason)
            return [row for row in batch if row is not left[0]]
        taken = [row for row in batch if row not in left]
        for row in left:
            taken += await self._deliver([row])
        return taken

    async def _move_to_dead_letters(self, row: Row[R], reason: str) -> None:
        await until_available(lambda: self._file.move_to_dead_letters(row, reason, self._now()))
        self._metrics.dead.inc()
        asset, timestamp = self._key(row.record)[:2]
        self._event_log.error("dead_letter", asset=asset, timestamp=timestamp, reason=reason)

    async def _measure(self) -> None:
        while True:
            with suppress(StoreError):  # a full disk, which GroupCommit logs; the gauges still have to be set
                await self._file.checkpoint()
            size = await until_available(self._file.size)
            self._metrics.rows.set(size.rows)
            self._metrics.bytes.set(size.bytes)
            self._metrics.oldest.set(0 if size.oldest is None else max(0.0, self._now() - size.oldest))
            self._metrics.dead_held.set(size.dead)
            await asyncio.sleep(_MEASURE_SECONDS)
