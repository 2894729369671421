"""Trades behind the outbox into DynamoDB Local, against bare batch writes by the same client in the same run.

Rounds are interleaved. Both have as many calls in flight, and the outbox gets its trades 500 at a time.
"""

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar

import uvloop
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreUnavailable
from aggregator.models import Side, Trade
from aggregator.observability.metrics import Metrics
from aggregator.stores.outbox_sender import BATCHES_IN_FLIGHT
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.stores.trades.outbox import TradeOutbox
from tests.bench.history import timed
from tests.bench.report import Figure, median_ratio
from tests.parts.dynamodb import DynamoServer

_APPENDED = 500
_BATCH = 25
_DRAIN_SECONDS = 300.0
_PATIENCE = 60.0  # seconds

T = TypeVar("T")
_RETENTION = 172_800.0


def run(rounds: int, trades: int, dynamodb: DynamoServer | None = None) -> list[Figure]:
    """Measure `trades` trades in each round, on this DynamoDB or one of its own."""
    server = DynamoServer() if dynamodb is None else dynamodb
    with tempfile.TemporaryDirectory() as folder:
        try:
            return uvloop.run(_measure(server.endpoint, Path(folder), rounds, trades))
        finally:
            if dynamodb is None:
                server.stop()


async def _measure(endpoint: str, folder: Path, rounds: int, trades: int) -> list[Figure]:
    metrics = Metrics(CollectorRegistry())
    table = TradeTable(f"bench-{uuid.uuid4()}", "us-east-1", endpoint, metrics, _RETENTION, time.time)
    await _patiently(table.open)
    await _bare(table, trades)  # warm-up of the JVM
    bare, piped = [], []
    for number in range(rounds):
        bare.append(await _bare(table, trades))
        piped.append(await _through_outbox(table, folder / f"outbox{number}.db", trades))
    await table.close()
    return [
        Figure(f"bare BatchWriteItem of {_BATCH}, {BATCHES_IN_FLIGHT} in flight", statistics.median(bare), "trades/s"),
        Figure("outbox -> DynamoDB Local", statistics.median(piped), "trades/s"),
        Figure("  against bare BatchWriteItem", median_ratio(piped, bare), "", ">= 0.85"),
    ]


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `work`; repeat it for a while where DynamoDB Local is too slow, as the outbox does."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return await work()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise


async def _bare(table: TradeTable, number: int) -> float:
    """Write trades as fast as the table accepts them; return trades/s."""
    waiting = _trades(number)
    batches = [waiting[first : first + _BATCH] for first in range(0, number, _BATCH)]

    async def worker() -> None:
        while batches:
            put = partial(table.put, batches.pop())
            assert await _patiently(put) == []

    return number / await timed(lambda: asyncio.gather(*(worker() for _ in range(BATCHES_IN_FLIGHT))))


async def _through_outbox(table: TradeTable, path: Path, number: int) -> float:
    """Add trades to the outbox, and wait until the table has them; return trades/s."""
    outbox = TradeOutbox(path, 1 << 30, table, _RETENTION, Metrics(CollectorRegistry()), time.time)
    await outbox.open()
    waiting = _trades(number)

    async def work() -> None:
        for first in range(0, number, _APPENDED):
            added = await outbox.add(waiting[first : first + _APPENDED])
            assert len(added) == len(waiting[first : first + _APPENDED])
        assert await outbox.drain(_DRAIN_SECONDS) == 0

    async with asyncio.TaskGroup() as group:
        running = group.create_task(outbox.run())
        seconds = await timed(work)
        running.cancel()
    await outbox._file.close()  # close() would also close the table, which later rounds use
    return number / seconds


def _trades(number: int) -> list[Trade]:
    """Return trades that no earlier round has used, of a thousand assets in turn."""
    run, now = uuid.uuid4().hex[:8], time.time()
    price, volume = Decimal("77896.49"), Decimal("0.0421")
    return [
        Trade(f"asset{row % 1000}", price, volume, now + row / 1e6, "exchange1", f"{run}-{row}", Side.BUY)
        for row in range(number)
    ]
