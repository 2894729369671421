"""The outbox: prices are written to a local file first, and sent from there to a remote table.

    write -> file (one transaction) -> batches, several in flight -> table: removed from the file
                                                                     refused: dead letters, in the same file

No price is lost while the table is away or throttles, or when the process is killed. A price may be sent twice, which
does no harm. The file is bounded; when it is full, the oldest rows of the coldest tier are deleted first, and counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Table
from aggregator.prices.bars import PointSource
from aggregator.resilience.backoff import Backoff
from aggregator.stores.outbox_file import OutboxFile, Row
from aggregator.stores.outbox_reads import OutboxReads

T = TypeVar("T")

_BATCHES_IN_FLIGHT = 4
_READ_ROWS = 500
_LINGER = 2.0  # seconds that a batch which is not full waits for more rows: a call costs the same for one row
_RESCAN_SECONDS = 5.0  # between two scans of the file from its first row
_POLL_SECONDS = 1.0  # between two looks for rows of other processes
_MEASURE_SECONDS = 1.0
_DIRECT_SECONDS = 1.0  # the most that a refresh waits for the table when the disk is full


class Outbox:
    """`aggregator.ports.History` of a file and a table. Reads return the prices of both.

    Raises StoreUnavailable where the file cannot be written, or where a read needs the table and it is away.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        table: Table,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = OutboxFile(path, most_bytes)
        self._table = table
        reads = OutboxReads(self._file, table, now)
        self.latest, self.between = reads.latest, reads.between
        if isinstance(table, PointSource):
            self.points = reads.points
        self._batch = min(table.batch, _READ_ROWS)  # a larger one would never be full, and always wait for more
        self._metrics = metrics
        self._now = now
        self._batches: asyncio.Queue[list[Row]] = asyncio.Queue(maxsize=1)
        self._in_flight: set[tuple[str, float]] = set()
        self._ids_in_flight: set[int] = set()
        self._settled, self._arrived = asyncio.Event(), asyncio.Event()
        self._is_draining = False
        self._table_error = ""
        self._file_error = ""
        self._log = structlog.get_logger().bind(store=table.name)

    async def open(self) -> None:
        """Create the file if it is missing. Raises StoreRefused when the path cannot be used."""
        await self._file.open()

    async def write(self, prices: Sequence[Price]) -> None:
        """Write all of `prices` to the file in one transaction.

        If the disk is full or fails, the prices are sent to the table directly, and count as written if the table has
        taken all of them.
        """
        try:
            given_up = await self._file.append(prices)
        except StoreUnavailable as error:
            self._report_file_state(str(error))
            if not await self._send_directly(prices):
                raise
            self._metrics.store_errors.labels("history", error.reason).inc()
            return
        self._report_file_state("")
        self._arrived.set()
        for tier, rows in given_up.items():
            self._metrics.outbox_refused.labels(tier.value).inc(rows)
            self._log.error("outbox_full", given_up=rows, tier=tier.value)

    async def _send_directly(self, prices: Sequence[Price]) -> bool:
        """Send prices past the file; return whether the table has taken all. Counts the others as lost."""
        keyed = list({(price.asset, price.timestamp): price for price in prices}.values())
        sent = 0
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_DIRECT_SECONDS):
                for first in range(0, len(keyed), self._batch):
                    batch = keyed[first : first + self._batch]
                    with suppress(StoreRefused):  # the other batches may be taken
                        sent += len(batch) - len(await self._table.put(batch))
        self._metrics.store_writes.labels(self._table.name).inc(sent)
        self._metrics.history_lost.inc(len(keyed) - sent)
        return sent == len(keyed)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless prices can be written to the file; the table may be away."""
        await self._file.ping()
        if self._file_error:  # an empty transaction may succeed on a full disk
            raise StoreUnavailable(self._file_error)

    async def run(self) -> None:
        """Send rows to the table, beginning with those of earlier runs; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue_rows())
            group.create_task(self._measure())
            for _ in range(_BATCHES_IN_FLIGHT):
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

    async def close(self) -> None:
        """Close the file and the table."""
        await self._file.close()
        await self._table.close()

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
                await self._wait(self._arrived, _POLL_SECONDS)

    async def _next_rows(self, last_id: int) -> list[Row]:
        """Return the next rows that are not in flight; waits `_LINGER` if they make no full batch."""
        self._arrived.clear()
        rows = await self._retried(lambda: self._file.after(last_id, _READ_ROWS))
        if 0 < len(rows) < self._batch and not self._is_draining:
            await asyncio.sleep(_LINGER)
            rows = await self._retried(lambda: self._file.after(last_id, _READ_ROWS))
        return [row for row in rows if row.id not in self._ids_in_flight]

    async def _queue_batches(self, rows: Sequence[Row]) -> None:
        """Queue the rows as batches in which no key is in flight or occurs twice."""
        batch: list[Row] = []
        for row in rows:
            if len(batch) == self._batch or (batch and _key(row) in self._in_flight):
                await self._batches.put(batch)
                batch = []
            while _key(row) in self._in_flight:  # two rows of one key must be sent in order
                self._settled.clear()
                await self._settled.wait()
            self._in_flight.add(_key(row))
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

    async def _send_batch(self, batch: Sequence[Row]) -> None:
        taken = await self._deliver(batch)
        await self._retried(lambda: self._file.remove(taken))
        self._metrics.store_batch.labels(self._table.name).observe(len(batch))
        self._metrics.store_writes.labels(self._table.name).inc(len(taken))
        self._in_flight.difference_update(map(_key, batch))
        self._ids_in_flight.difference_update(row.id for row in batch)
        self._settled.set()
        self._arrived.set()

    async def _deliver(self, batch: Sequence[Row]) -> list[Row]:
        """Send a batch until the table has taken or refused each row; return the rows it has taken."""
        left = {_key(row): row for row in batch}
        backoff = Backoff()
        while left:
            try:
                not_taken = await self._table.put([row.price for row in left.values()])
            except StoreRefused as refusal:
                return await self._deliver_one_by_one(list(left.values()), batch, str(refusal))
            except StoreUnavailable as error:
                self._report_table_state(str(error))
                not_taken = [row.price for row in left.values()]
            else:
                self._report_table_state("")
            left = {(price.asset, price.timestamp): left[price.asset, price.timestamp] for price in not_taken}
            if left:
                self._metrics.dynamodb_retries.inc(len(left))
                await backoff.pause()
        return list(batch)

    async def _deliver_one_by_one(self, left: Sequence[Row], batch: Sequence[Row], reason: str) -> list[Row]:
        """Send each row of a refused batch alone, and move the one that is refused to the dead letters."""
        if len(left) == 1:
            await self._move_to_dead_letters(left[0], reason)
            return [row for row in batch if row is not left[0]]
        taken = [row for row in batch if row not in left]
        for row in left:
            taken += await self._deliver([row])
        return taken

    async def _move_to_dead_letters(self, row: Row, reason: str) -> None:
        await self._retried(lambda: self._file.move_to_dead_letters(row, reason, self._now()))
        self._metrics.dead_letters.inc()
        self._log.error("dead_letter", asset=row.price.asset, timestamp=row.price.timestamp, reason=reason)

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, which uses the file. Retries while that fails, for example on a full disk."""
        backoff = Backoff()
        while True:
            try:
                return await work()
            except StoreUnavailable:
                await backoff.pause()

    async def _measure(self) -> None:
        while True:
            with suppress(StoreError):  # a full disk, which GroupCommit logs; the gauges still have to be set
                await self._file.checkpoint()
            size = await self._retried(self._file.size)
            self._metrics.outbox_rows.set(size.rows)
            self._metrics.outbox_bytes.set(size.bytes)
            self._metrics.outbox_oldest.set(0 if size.oldest is None else max(0.0, self._now() - size.oldest))
            self._metrics.dead_letters_held.set(size.dead)
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    def _report_file_state(self, error: str) -> None:
        """Log when writes to the file begin to fail and when they succeed again, not every failure."""
        if error and not self._file_error:
            self._log.warning("outbox_failing", error=error)
        elif self._file_error and not error:
            self._log.info("outbox_recovered")
        self._file_error = error

    def _report_table_state(self, error: str) -> None:
        """Log when the table goes away and when it is back, not every failure."""
        if error and not self._table_error:
            self._log.warning("table_failing", error=error)
        elif self._table_error and not error:
            self._log.info("table_recovered")
        self._table_error = error


def _key(row: Row) -> tuple[str, float]:
    return (row.price.asset, row.price.timestamp)
