"""Group commit: many writers, one write at a time. What arrives during a write goes out together with the next."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import NamedTuple

import structlog

from aggregator.errors import StoreError
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.ports import Sink

_MAX_BATCH = 1000


class Sinks(NamedTuple):
    """Where a new price goes: history first, then the cache."""

    history: "GroupCommit"
    cache: "GroupCommit"


_Waiting = tuple[Sequence[Price], asyncio.Future[bool]]


class GroupCommit:
    """Puts prices into one sink. Alone, a price is written at once; under load, batches grow by themselves.

    Waiting prices are bounded by the writers, each of whom waits for its own. A failure is told to those whose
    prices were in that write and to nobody else; the log hears of the first failure and of the recovery.
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
        """Write `prices`; return whether the sink took them. A caller who is cancelled does not stop the write."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((prices, written))
        if self._writer is None:
            # In no request's context: it writes what others bring as well.
            self._writer = asyncio.create_task(self._write_waiting(), context=Context())
        return await written

    async def close(self, patience: float) -> None:
        """Give the write under way, and those waiting, at most `patience` seconds."""
        writer = self._writer
        if writer is None:
            return
        _, late = await asyncio.wait([writer], timeout=patience)
        if late:
            self._log.error("store_write_abandoned", waiting=len(self._waiting), after_seconds=patience)
            writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    async def _write_waiting(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                await self._settle(batch)
        finally:
            self._writer = None
            for _, written in [*batch, *self._waiting]:  # there are such only when this task was cancelled
                if not written.done():
                    written.set_exception(RuntimeError("the write was abandoned"))
            self._waiting = []

    async def _settle(self, batch: list[_Waiting]) -> None:
        """Write the batch and tell its writers the outcome, an error that nobody planned included."""
        try:
            taken = await self._write([price for prices, _ in batch for price in prices])
        except Exception as error:  # noqa: BLE001  # goes on to every writer, who raises it
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
