"""The outbox: prices are written to a local file first, and sent from there to a remote table.

    write -> file (one transaction) -> batches, several in flight -> table: removed from the file
                                                                     refused: dead letters, in the same file

No price is lost while the table is away or throttles, or when the process is killed. A price may be sent twice, which
does no harm. The file is bounded; when it is full, the oldest rows of the coldest tier are deleted first, and counted.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.observability.trouble_log import TroubleLog
from aggregator.ports import Table
from aggregator.prices.bars import MinuteSource, PointSource
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.outbox_reads import OutboxReads
from aggregator.stores.outbox_sender import Sender, SenderMetrics

_DIRECT_SECONDS = 1.0  # the most that a refresh waits for the table when the disk is full


class Outbox:
    """`aggregator.ports.History` of a file and a table. Reads return the prices of both.

    `upkeep` is background work of the table. Raises StoreUnavailable where the file cannot be written, or where a read
    needs the table and it is away.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        table: Table,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        upkeep: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        self._file = OutboxFile(path, most_bytes)
        self._table = table
        reads = OutboxReads(self._file, table, now)
        self.latest, self.between = reads.latest, reads.between
        if isinstance(table, PointSource):
            self.points = reads.points
        if isinstance(table, MinuteSource):
            self.minutes = reads.minutes
        self._metrics = metrics
        self._sender = Sender(self._file, table, _sender_metrics(metrics, table.name), now)
        self.drain = self._sender.drain
        self._upkeep = upkeep
        self._trouble = TroubleLog("outbox_failing", "outbox_recovered", store=table.name)
        self._log = structlog.get_logger().bind(store=table.name)

    async def open(self) -> None:
        """Create the file if it is missing. Raises StoreRefused when the path cannot be used."""
        await self._file.open()

    async def run(self) -> None:
        """Send what waits, beside the upkeep of the table; never returns."""
        if self._upkeep is None:
            await self._sender.run()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._upkeep())
            group.create_task(self._sender.run())

    async def write(self, prices: Sequence[Price]) -> None:
        """Write all of `prices` to the file in one transaction.

        If the disk is full or fails, the prices are sent to the table directly, and count as written if the table has
        taken all of them.
        """
        try:
            appended = await self._file.append(prices)
        except StoreUnavailable as error:
            self._trouble.report(str(error))
            if not await self._send_directly(prices):
                raise
            self._metrics.store_errors.labels("history", error.reason).inc()
            return
        self._trouble.report("")
        self._sender.notify()
        for tier, rows in appended.given_up.items():
            self._metrics.outbox_refused.labels(tier).inc(rows)
            self._log.error("outbox_full", given_up=rows, tier=tier)

    async def _send_directly(self, prices: Sequence[Price]) -> bool:
        """Send prices past the file; return whether the table has taken all. Counts the others as lost."""
        keyed = list({(price.asset, price.timestamp): price for price in prices}.values())
        sent = 0
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_DIRECT_SECONDS):
                for first in range(0, len(keyed), self._table.batch):
                    batch = keyed[first : first + self._table.batch]
                    with suppress(StoreRefused):  # the other batches may be taken
                        sent += len(batch) - len(await self._table.put(batch))
        self._metrics.store_writes.labels(self._table.name).inc(sent)
        self._metrics.history_lost.inc(len(keyed) - sent)
        return sent == len(keyed)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless prices can be written to the file; the table may be away."""
        await self._file.ping()
        if self._trouble.error:  # an empty transaction may succeed on a full disk
            raise StoreUnavailable(self._trouble.error)

    async def close(self) -> None:
        """Close the file and the table."""
        await self._file.close()
        await self._table.close()


def _sender_metrics(metrics: Metrics, store: str) -> SenderMetrics:
    return SenderMetrics(
        rows=metrics.outbox_rows,
        bytes=metrics.outbox_bytes,
        oldest=metrics.outbox_oldest,
        batch=metrics.store_batch.labels(store),
        sent=metrics.store_writes.labels(store),
        retries=metrics.dynamodb_retries,
        dead=metrics.dead_letters,
        dead_held=metrics.dead_letters_held,
    )
