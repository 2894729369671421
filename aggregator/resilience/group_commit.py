"""Group commit: one write to a store at a time; prices that arrive during a write go together into the next one."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import NamedTuple

import structlog

from aggregator.errors import StoreError
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Sink

_MAX_CALLS = 1000  # calls of `write` whose prices go into one write


class Sinks(NamedTuple):
    """The two stores that a new price is written to: history first, then the cache."""

    history: "GroupCommit"
    cache: "GroupCommit"


_Waiting = tuple[Sequence[Price], asyncio.Future[bool]]


class GroupCommit:
    """Writes prices to one sink. A price is written at once if no write is under way; under load, batches grow.

    Every caller waits for its own prices, so the number of callers bounds the prices that wait. A failed write fails
    the calls whose prices were in it, and no others. The log gets the first failure and the recovery.

    `name` is the store's label in metrics and logs. `failing` is the last error, empty while writes succeed.
    """

    def __init__(self, name: str, sink: Sink, metrics: Metrics) -> None:
        self.name = name
        self.failing = ""
        self._sink = sink
        self._metrics = metrics
        self._log = structlog.get_logger().bind(store=name)
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, prices: Sequence[Price]) -> bool:
        """Write `prices`; return whether the sink has taken them. A cancelled caller does not stop the write."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((prices, written))
        if self._writer is None:
            # In an empty context: it writes the prices of other callers, too, so it belongs to no request.
            self._writer = asyncio.create_task(self._write_waiting(), context=Context())
        return await written

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds until all prices are written, then give up."""
        writer = self._writer
        if writer is None:
            return
        _, unfinished = await asyncio.wait([writer], timeout=patience)
        if unfinished:
            self._log.error("store_write_abandoned", waiting=len(self._waiting), after_seconds=patience)
            writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    async def _write_waiting(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MAX_CALLS], self._waiting[_MAX_CALLS:]
                await self._settle(batch)
        finally:
            self._writer = None
            for _, written in [*batch, *self._waiting]:  # only after this task was cancelled
                if not written.done():
                    written.set_exception(RuntimeError("the write was abandoned"))
            self._waiting = []

    async def _settle(self, batch: list[_Waiting]) -> None:
        """Write the batch and pass the outcome to its callers, including an unexpected exception."""
        try:
            taken = await self._write([price for prices, _ in batch for price in prices])
        except Exception as error:  # noqa: BLE001  # raised again in every caller
            for _, written in batch:
                if not written.done():
                    written.set_exception(error)
            return
        for _, written in batch:
            if not written.done():
                written.set_result(taken)

    async def _write(self, prices: Sequence[Price]) -> bool:
        try:
            await self._sink.write(prices)
        except StoreError as error:
            self._metrics.store_errors.labels(self.name, error.reason).inc()
            if not self.failing:
                self._log.warning("store_failing", error=str(error))
            self.failing = str(error)
            return False
        if self.failing:
            self._log.info("store_recovered")
            self.failing = ""
        self._metrics.store_writes.labels(self.name).inc(len(prices))
        self._metrics.store_batch.labels(self.name).observe(len(prices))
        return True
