"""The event log in memory: order, the size of batches, its bound, waiting for room, callers that leave."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Trade
from aggregator.trades.event_log.memory import BATCH, MemoryLog
from aggregator.trades.ports import Appended, Backlog, BacklogFull, Receipt
from tests.parts.clock import Clock
from tests.trades.test_features import trade

PATIENT = 30.0  # seconds; a limit for a busy machine, no promise


def trades(count: int, first: int = 0) -> list[Trade]:
    """Return trades whose ids count up from `first`."""
    return [trade(number) for number in range(first, first + count)]


def ids(batch: Sequence[Appended]) -> list[str]:
    """Return the ids of all trades of a batch."""
    return [one.id for appended in batch for one in appended.trades]


def commit(log: MemoryLog, batch: Sequence[Appended]) -> None:
    """Commit a batch of which every trade was new."""
    log.commit(batch, [Receipt(len(one.trades), 0) for one in batch])


@settings(max_examples=20)
@given(st.lists(st.integers(1, BATCH * 3 // 5), min_size=1, max_size=12))
async def test_batches_have_all_trades_in_order(sizes: list[int]) -> None:
    """Batches keep the order of the appends, hold whole appends, and have at most BATCH trades."""
    log = MemoryLog(1_000_000)
    sent: list[Trade] = []
    for size in sizes:
        some = trades(size, len(sent))
        log.append(some, f"source {size}")
        sent += some
    found: list[str] = []
    while batch := log.waiting_batch():
        assert len(ids(batch)) <= BATCH
        assert [one.source for one in batch] == [f"source {len(one.trades)}" for one in batch]
        found += ids(batch)
    assert found == [one.id for one in sent]


async def test_a_batch_is_as_large_as_it_may_be() -> None:
    """Appends that have BATCH trades together are one batch; one trade more is left for the next."""
    log = MemoryLog(1_000_000)
    for size in (BATCH - 1, 1, 1):
        log.append(trades(size))
    assert len(ids(await log.next_batch())) == BATCH
    assert len(ids(await log.next_batch())) == 1
    assert log.waiting_batch() == []


async def test_batches_are_small_unless_many_trades_wait() -> None:
    """A small batch holds the event loop for a shorter time; only a flood is worth more."""
    log = MemoryLog(1_000_000)
    for _ in range(BATCH // 100):
        log.append(trades(100))
    assert len(ids(log.waiting_batch())) == BATCH
    for _ in range(BATCH // 100 - 1):
        log.append(trades(100))
    assert [len(ids(log.waiting_batch())) for _ in range(4)] == [2000, 2000, 1900, 0]


async def test_a_large_append_is_a_batch_alone() -> None:
    """An append is not divided, because its caller waits for all of it."""
    log = MemoryLog(1_000_000)
    for size in (1, BATCH + 1, 1):
        log.append(trades(size))
    assert [len(ids(log.waiting_batch())) for _ in range(4)] == [1, BATCH + 1, 1, 0]


async def test_an_append_of_nothing_is_done() -> None:
    """Nothing has to be stored for it."""
    log = MemoryLog(10)
    assert await log.append([]) == Receipt(0, 0)
    assert log.waiting_batch() == []
    assert log.backlog == Backlog(0, 0.0)


async def test_next_batch_waits_for_trades() -> None:
    """It returns once there are some; a cancelled wait takes none with it."""
    log = MemoryLog(10)
    gone, waiting = asyncio.create_task(log.next_batch()), asyncio.create_task(log.next_batch())
    await asyncio.sleep(0)
    gone.cancel()
    log.append(trades(1))
    async with asyncio.timeout(PATIENT):
        assert ids(await waiting) == ["0"]
    assert gone.cancelled()


async def test_a_full_log_refuses_until_a_commit() -> None:
    """Trades count until they are committed, also while they are being stored; what is refused is not in the log."""
    log = MemoryLog(3)
    log.append(trades(2))
    log.append(trades(2, 2))  # there was room, so all of it is taken
    for _ in range(2):
        with pytest.raises(BacklogFull):
            log.append(trades(1, 9))
        batch = log.waiting_batch()  # being stored, and not committed
    assert batch == []
    assert log.backlog.trades == 4


async def test_room_after_a_commit() -> None:
    """A commit makes room for exactly the trades that it acknowledges."""
    log = MemoryLog(2)
    log.append(trades(2))
    first = log.waiting_batch()
    commit(log, first)
    assert log.backlog.trades == 0
    log.append(trades(1))
    log.append(trades(1, 1))
    with pytest.raises(BacklogFull):
        log.append(trades(1, 2))


async def test_all_who_wait_for_room_go_on() -> None:
    """They wait while the log is full, and all wake up once a commit has made room; a cancelled one is no harm."""
    log = MemoryLog(1)
    log.append(trades(1))
    waiting = [asyncio.create_task(log.room()) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    assert not any(one.done() for one in waiting)
    waiting[1].cancel()
    commit(log, log.waiting_batch())
    async with asyncio.timeout(PATIENT):
        await asyncio.gather(*waiting, return_exceptions=True)
    assert [one.cancelled() for one in waiting] == [False, True, False]
    async with asyncio.timeout(PATIENT):
        await log.room()  # returns at once where there is room


async def test_those_who_wait_go_on_waiting_where_a_commit_makes_no_room() -> None:
    """A log that is still over its bound after a commit has no room."""
    log = MemoryLog(2)
    log.append(trades(1))
    log.append(trades(BATCH))
    waiting = asyncio.create_task(log.room())
    commit(log, log.waiting_batch())
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    commit(log, log.waiting_batch())
    async with asyncio.timeout(PATIENT):
        await waiting


async def test_each_caller_gets_its_receipt() -> None:
    """In the order of the batch, and only at the commit."""
    log = MemoryLog(100)
    futures = [log.append(trades(number + 1)) for number in range(3)]
    batch = log.waiting_batch()
    assert not any(one.done() for one in futures)
    receipts = [Receipt(1, 0), Receipt(1, 1), Receipt(0, 3)]
    log.commit(batch, receipts)
    assert [one.result() for one in futures] == receipts


async def test_a_caller_that_has_left() -> None:
    """Its trades are stored like the others, and the others get their receipts."""
    log = MemoryLog(100)
    leaving, staying = log.append(trades(1)), log.append(trades(1, 1))
    leaving.cancel()
    batch = log.waiting_batch()
    assert ids(batch) == ["0", "1"]
    commit(log, batch)
    assert await staying == Receipt(1, 0)
    assert log.backlog.trades == 0


async def test_committed_waits_for_the_next_commit() -> None:
    """One that was before does not count."""
    log = MemoryLog(100)
    log.append(trades(1))
    log.append(trades(BATCH))
    commit(log, log.waiting_batch())
    waiting = asyncio.create_task(log.committed())
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    commit(log, log.waiting_batch())
    async with asyncio.timeout(PATIENT):
        await waiting


async def test_the_age_of_the_backlog() -> None:
    """It is that of the oldest trade that is not committed, whether it waits or is being stored."""
    clock = Clock()
    log = MemoryLog(10_000, clock)
    log.append(trades(BATCH))
    clock.now += 2
    log.append(trades(1))
    assert log.backlog == Backlog(BATCH + 1, 2.0)
    first = log.waiting_batch()
    clock.now += 1
    assert log.backlog == Backlog(BATCH + 1, 3.0)
    commit(log, first)
    assert log.backlog == Backlog(1, 1.0)
    commit(log, log.waiting_batch())
    assert log.backlog == Backlog(0, 0.0)


@pytest.mark.parametrize(("most", "least", "longest"), [(1, 1, 1), (10_000, 5, 5), (10_000_000, 30, 30)])
async def test_when_to_come_again(most: int, least: int, longest: int) -> None:
    """By the rate of commits, at least 1,000 a second, half the backlog is gone then; at most 30 s."""
    log = MemoryLog(most)
    log.append([trade(1)] * most)
    with pytest.raises(BacklogFull) as refused:
        log.append(trades(1))
    assert least <= refused.value.retry_after <= longest


async def test_a_fast_store_makes_the_wait_shorter() -> None:
    """After commits of 100,000 trades a second, 100,000 trades wait for a second, not for fifty."""
    clock = Clock()
    log = MemoryLog(100_000, clock)
    for _ in range(50):
        log.append([trade(1)] * 100_000)
        clock.now += 1
        commit(log, log.waiting_batch())
    log.append([trade(1)] * 100_000)
    with pytest.raises(BacklogFull) as refused:
        log.append(trades(1))
    assert refused.value.retry_after == 1
