"""Group commit: one write at a time, growing batches, and failures passed to the callers of that write."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.resilience.group_commit import GroupCommit
from tests.parts.examples import NOW, price

REQUEST = ContextVar("REQUEST", default="none")


class Sink:
    """A sink that takes one batch each time it is released, and can be told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[Price]] = []
        self.let = asyncio.Semaphore(0)
        self.error: Exception | None = None
        self.writing = 0
        self.on_behalf_of: list[str] = []

    async def write(self, prices: Sequence[Price]) -> None:
        """Take a batch when released."""
        self.writing += 1
        self.on_behalf_of.append(REQUEST.get())
        assert self.writing == 1, "two writes at a time"
        await self.let.acquire()
        self.writing -= 1
        if self.error is not None:
            raise self.error
        self.batches.append(list(prices))


@pytest.fixture
def sink() -> Sink:
    """Return a sink that waits to be released."""
    return Sink()


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics with their own registry."""
    return Metrics(CollectorRegistry())


@pytest.fixture
def commit(sink: Sink, metrics: Metrics) -> GroupCommit:
    """Return a group commit for the sink."""
    return GroupCommit("cache", sink, metrics)


async def start(commit: GroupCommit, *numbers: int) -> list[asyncio.Task[bool]]:
    """Start a call of `write` for each number."""
    tasks = [asyncio.create_task(commit.write([price(timestamp=NOW + number)])) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def numbers(batch: list[Price]) -> list[float]:
    """Return the numbers of the prices in a batch."""
    return [one.timestamp - NOW for one in batch]


async def test_prices_that_come_during_a_write_go_into_the_next(
    commit: GroupCommit, sink: Sink, metrics: Metrics
) -> None:
    """The first price is written alone, the other ninety-nine together, in order."""
    writers = await start(commit, 0) + await start(commit, *range(1, 100))
    sink.let.release()
    assert await writers[0]
    assert not any(writer.done() for writer in writers[1:])
    sink.let.release()
    assert all(await asyncio.gather(*writers))
    assert [numbers(batch) for batch in sink.batches] == [[0], list(range(1, 100))]
    assert metrics.registry.get_sample_value("price_store_written_total", {"store": "cache"}) == 100


async def test_a_failure_reaches_the_callers_of_that_write(commit: GroupCommit, sink: Sink, metrics: Metrics) -> None:
    """The first write fails, the next one succeeds; each caller gets the outcome of its own."""
    sink.error = StoreUnavailable("away")
    first = await start(commit, 1)
    sink.let.release()
    assert await asyncio.gather(*first) == [False]
    assert commit.failing == "away"
    sink.error = None
    second = await start(commit, 2)
    sink.let.release()
    assert await asyncio.gather(*second) == [True]
    assert commit.failing == ""
    errors = metrics.registry.get_sample_value("price_store_errors_total", {"store": "cache", "reason": "unavailable"})
    assert errors == 1


async def test_an_unexpected_error_reaches_the_callers(commit: GroupCommit, sink: Sink) -> None:
    """It is raised in each caller; the next write starts anew."""
    sink.error = ZeroDivisionError()
    writers = await start(commit, 1, 2) + await start(commit, 3)
    sink.let.release()
    outcomes = await asyncio.gather(*writers[:2], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    sink.error = None
    sink.let.release()
    assert await writers[2]


async def test_a_cancelled_caller_does_not_stop_the_write(commit: GroupCommit, sink: Sink) -> None:
    """Its price is written."""
    writers = await start(commit, 1) + await start(commit, 2)
    writers[0].cancel()
    sink.let.release()
    sink.let.release()
    assert await writers[1]
    assert [numbers(batch) for batch in sink.batches] == [[1], [2]]


async def test_closing_writes_the_waiting_prices(commit: GroupCommit, sink: Sink) -> None:
    """All prices that were passed in are written."""
    writers = await start(commit, 1) + await start(commit, 2, 3)
    for _ in range(2):
        sink.let.release()
    await commit.close(5)
    assert all(await asyncio.gather(*writers))


async def test_closing_does_not_wait_for_ever(commit: GroupCommit) -> None:
    """The write to a sink that hangs is abandoned, which raises in its callers."""
    writers = await start(commit, 1) + await start(commit, 2)
    await commit.close(0.01)
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the write was abandoned"] * 2


async def test_a_write_belongs_to_no_request(commit: GroupCommit, sink: Sink) -> None:
    """It has the prices of several requests, so its log lines must not have the id of the first one."""

    async def write() -> None:
        REQUEST.set("a request")
        assert await commit.write([price()])

    sink.let.release()
    await asyncio.create_task(write())
    assert sink.on_behalf_of == ["none"]
