"""The outbox: a price is in a local file before it counts as written, and leaves it when DynamoDB has it.

    write -> file (one transaction) ~> batches of 25, several in flight -> DynamoDB -> gone from the file
                                                       refused for good -> dead letters, in the same file

Nothing is lost while the table is away, throttles, or we are killed: sending again what the table already has does
no harm. The file is bounded; when it is full, the oldest rows of the coldest tier are given up first, and counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Table
from aggregator.resilience.backoff import Backoff
from aggregator.stores.outbox_file import OutboxFile, Row

T = TypeVar("T")

_BATCHES_IN_FLIGHT = 4
_READ_ROWS = 500
_LINGER = 2.0  # seconds a batch that is not full waits for more: a call costs the same for one row as for 25
_FROM_THE_START = 5.0  # seconds between two looks at all that waits
_LOOK_AGAIN = 1.0  # seconds; another process may have put something into the file
_MEASURE_SECONDS = 1.0
_DIRECT_SECONDS = 1.0  # a refresh waits no longer than this for the table when the disk is full


class Outbox:
    """`aggregator.ports.History`: what is written is on disk at once and in the table soon; reads see both.

    Raises StoreUnavailable where the file cannot be written, or the table is needed for an answer and away.
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
        self._metrics = metrics
        self._now = now
        self._batches: asyncio.Queue[list[Row]] = asyncio.Queue(maxsize=1)
        self._in_flight: set[tuple[str, float]] = set()
        self._ids_in_flight: set[int] = set()
        self._freed, self._arrived = asyncio.Event(), asyncio.Event()
        self._hurry = False
        self._failing = ""
        self._file_failing = ""
        self._log = structlog.get_logger().bind(store=table.name)

    async def open(self) -> None:
        """Create the file where missing. Raises StoreRefused when the path cannot hold one."""
        await self._file.open()

    async def write(self, prices: Sequence[Price]) -> None:
        """Put all of `prices` on disk, or none.

        Where the disk does not take them, they are sent to the table at once, and count as written if the table has
        taken all of them.
        """
        try:
            given_up = await self._file.append(prices)
        except StoreUnavailable as error:
            self._report_file(str(error))
            if not await self._send_directly(prices):
                raise
            self._metrics.store_errors.labels("history", error.reason).inc()
            return
        self._report_file("")
        self._arrived.set()
        for tier, rows in given_up.items():
            self._metrics.outbox_refused.labels(tier.value).inc(rows)
            self._log.error("outbox_full", given_up=rows, tier=tier.value)

    async def _send_directly(self, prices: Sequence[Price]) -> bool:
        """Send to the table what the disk has refused; return whether it has taken all. The rest is counted as lost."""
        keyed = list({(price.asset, price.timestamp): price for price in prices}.values())
        sent = 0
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_DIRECT_SECONDS):
                for first in range(0, len(keyed), self._table.batch):
                    batch = keyed[first : first + self._table.batch]
                    with suppress(StoreRefused):  # of this batch only
                        sent += len(batch) - len(await self._table.put(batch))
        self._metrics.store_writes.labels(self._table.name).inc(sent)
        self._metrics.history_lost.inc(len(keyed) - sent)
        return sent == len(keyed)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol, waiting or sent; while the table is away, of those that wait."""
        waiting = await self._file.latest(symbols, self._now() + FUTURE_TOLERANCE)
        try:
            sent = await self._table.latest(symbols)
        except StoreError:
            if not waiting:
                raise
            return waiting
        newer = {asset: price for asset, price in waiting.items() if not _is_older(price, sent.get(asset))}
        return sent | newer

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return at most `limit` prices of `start` <= timestamp <= `end`, in order of time."""
        # The file first: what moves from there to the table in between is then seen twice, not missed.
        waiting = await self._file.between(symbol, start, end, limit, newest_first=newest_first)
        sent = await self._table.between(symbol, start, end, limit, newest_first=newest_first)
        both = {price.timestamp: price for price in [*sent, *waiting]}
        return [both[timestamp] for timestamp in sorted(both, reverse=newest_first)[:limit]]

    async def ping(self) -> None:
        """Raise StoreUnavailable unless prices can be put on disk; the table may be away."""
        await self._file.ping()
        if self._file_failing:  # an empty transaction may succeed on a disk that takes no more
            raise StoreUnavailable(self._file_failing)

    async def run(self) -> None:
        """Send what waits, and what comes, for ever; begins with what the last run has left."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            group.create_task(self._measure())
            for _ in range(_BATCHES_IN_FLIGHT):
                group.create_task(self._send())

    async def drain(self, patience: float) -> int | None:
        """Give what waits at most `patience` seconds to be sent; the rest stays on disk for the next start.

        Return how many prices that is; None where the file cannot say.
        """
        self._hurry = True
        self._arrived.set()
        with suppress(TimeoutError, StoreError):  # a file that cannot be read now is no reason not to stop
            async with asyncio.timeout(patience):
                await self._emptied()
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

    async def _feed(self) -> None:
        """Hand out the waiting rows, oldest first, in batches in which no key is twice or in flight already."""
        last_id, from_the_start_at = 0, 0.0
        while True:
            if time.monotonic() >= from_the_start_at:
                # Rows may have come in behind us: from another process, or by a clock that was set back.
                last_id, from_the_start_at = 0, time.monotonic() + _FROM_THE_START
            rows = await self._next_rows(last_id)
            if rows:
                last_id = rows[-1].id
                await self._hand_out(rows)
            else:
                await self._wait(self._arrived, _LOOK_AGAIN)

    async def _next_rows(self, last_id: int) -> list[Row]:
        """Return the next waiting rows; fewer than a batch only after having waited for more."""
        self._arrived.clear()
        rows = await self._patiently(lambda: self._file.after(last_id, _READ_ROWS))
        if 0 < len(rows) < self._table.batch and not self._hurry:
            await asyncio.sleep(_LINGER)
            rows = await self._patiently(lambda: self._file.after(last_id, _READ_ROWS))
        return [row for row in rows if row.id not in self._ids_in_flight]

    async def _hand_out(self, rows: Sequence[Row]) -> None:
        batch: list[Row] = []
        for row in rows:
            if len(batch) == self._table.batch or (batch and _key(row) in self._in_flight):
                await self._batches.put(batch)
                batch = []
            while _key(row) in self._in_flight:  # the later of two with one key must not overtake the earlier
                self._freed.clear()
                await self._freed.wait()
            self._in_flight.add(_key(row))
            self._ids_in_flight.add(row.id)
            batch.append(row)
        await self._batches.put(batch)

    async def _emptied(self) -> None:
        self._freed.clear()  # before looking, so that what is freed in between is not missed
        while (await self._file.size()).rows:
            await self._freed.wait()
            self._freed.clear()

    async def _send(self) -> None:
        while True:
            await self._send_batch(await self._batches.get())

    async def _send_batch(self, batch: Sequence[Row]) -> None:
        taken = await self._deliver(batch)
        await self._patiently(lambda: self._file.remove(taken))
        self._metrics.store_batch.labels(self._table.name).observe(len(batch))
        self._metrics.store_writes.labels(self._table.name).inc(len(taken))
        self._in_flight.difference_update(map(_key, batch))
        self._ids_in_flight.difference_update(row.id for row in batch)
        self._freed.set()
        self._arrived.set()

    async def _deliver(self, batch: Sequence[Row]) -> list[Row]:
        """Put a batch, however long it takes; return the rows the table has. The others are dead letters by then."""
        left = {_key(row): row for row in batch}
        backoff = Backoff()
        while left:
            try:
                not_taken = await self._table.put([row.price for row in left.values()])
            except StoreRefused as refusal:
                return await self._deliver_apart(list(left.values()), batch, str(refusal))
            except StoreUnavailable as error:
                self._record_failure(str(error))
                not_taken = [row.price for row in left.values()]
            else:
                self._record_failure("")
            left = {(price.asset, price.timestamp): left[price.asset, price.timestamp] for price in not_taken}
            if left:
                self._metrics.dynamodb_retries.inc(len(left))
                await backoff.pause()
        return list(batch)

    async def _deliver_apart(self, left: Sequence[Row], batch: Sequence[Row], reason: str) -> list[Row]:
        """One row spoils a refused batch: find it by sending each alone."""
        if len(left) == 1:
            await self._move_to_dead_letters(left[0], reason)
            return [row for row in batch if row is not left[0]]
        taken = [row for row in batch if row not in left]
        for row in left:
            taken += await self._deliver([row])
        return taken

    async def _move_to_dead_letters(self, row: Row, reason: str) -> None:
        await self._patiently(lambda: self._file.move_to_dead_letters(row, reason, self._now()))
        self._metrics.dead_letters.inc()
        self._log.error("dead_letter", asset=row.price.asset, timestamp=row.price.timestamp, reason=reason)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the file, again and again while it cannot be used: a full disk is no reason to give up."""
        backoff = Backoff()
        while True:
            try:
                return await work()
            except StoreUnavailable:
                await backoff.pause()

    async def _measure(self) -> None:
        while True:
            with suppress(StoreError):  # a full disk; GroupCommit has told the log, and the figures must go on
                await self._file.checkpoint()
            size = await self._patiently(self._file.size)
            self._metrics.outbox_rows.set(size.rows)
            self._metrics.outbox_bytes.set(size.bytes)
            self._metrics.outbox_oldest.set(0 if size.oldest is None else max(0.0, self._now() - size.oldest))
            self._metrics.dead_letters_held.set(size.dead)
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    def _report_file(self, error: str) -> None:
        """Log when the file can no longer be written and when it can again, not once for every write."""
        if error and not self._file_failing:
            self._log.warning("outbox_failing", error=error)
        elif self._file_failing and not error:
            self._log.info("outbox_recovered")
        self._file_failing = error

    def _record_failure(self, error: str) -> None:
        """Tell the log when the table goes away and when it is back, not once for every attempt."""
        if error and not self._failing:
            self._log.warning("table_failing", error=error)
        elif self._failing and not error:
            self._log.info("table_recovered")
        self._failing = error


def _key(row: Row) -> tuple[str, float]:
    return (row.price.asset, row.price.timestamp)


def _is_older(price: Price, other: Price | None) -> bool:
    return other is not None and price.timestamp < other.timestamp
