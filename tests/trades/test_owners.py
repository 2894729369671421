"""Owners of a partition that are killed at any await: trades are stored, published and measured as if nothing happened.

Chance decides on the trades, their order, repetitions and lateness, the batches, when an owner is killed, and whether
its last write reaches the store after the next owner has begun.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest

from aggregator.models import Trade, TradeKey, trade_key
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.held_commits import HeldCommits
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.event_log.window_start import parse_metadata
from aggregator.trades.ports import Appended, Backlog, PartitionLag, Receipt
from tests.parts.limits import examples
from tests.parts.processing import LATENESS, Buried, Processing
from tests.trades.test_features import START, assert_same, naive
from tests.trades.test_saved_windows import Kept

ENDLESS = 1e12  # seconds of retention
NOW = START + 50_000
SPAN = 300 + 2 * LATENESS
ASSETS = ["asset1", "asset2", "asset3"]
PATIENT = 60.0  # seconds; a limit for a busy machine, no promise

Key = tuple[str, TradeKey]


def key_of(trade: Trade) -> Key:
    """Return what identifies a trade."""
    return trade.asset, trade_key(trade)


def records_of(chance: random.Random) -> list[Trade]:
    """Return the records of a partition: some out of order, some late, some with a time of others, some repeated.

    A repetition may have another price.
    """
    found: list[Trade] = []
    at, rate = START, chance.choice([0.02, 0.2, 1, 5])
    for number in range(chance.choice([60, 150, 300])):
        at += chance.expovariate(rate)
        asset, kind = chance.choices(ASSETS, [10, 3, 0.3])[0], chance.random()
        time = at - (chance.uniform(0, 4) if kind < 0.2 else chance.uniform(5, 40) if kind < 0.3 else 0)
        found.append(
            Trade(
                asset,
                Decimal(chance.randint(90, 110)),
                None if chance.random() < 0.1 else Decimal(chance.randint(1, 50)),
                round(time, 6 if kind < 0.95 else 0),
                chance.choice("vw"),
                str(number),
            )
        )
        if chance.random() < 0.15:
            again = chance.choice(found[-30:])
            found.append(msgspec.structs.replace(again, price=again.price + chance.choice([0, 0, 1])))
    return found


def expected_of(records: Sequence[Trade]) -> dict[Key, Trade]:
    """Return each trade of some records as its first record makes it, late or not."""
    newest: dict[str, float] = {}
    found: dict[Key, Trade] = {}
    for one in records:
        known = newest.get(one.asset, one.timestamp)
        newest[one.asset] = max(known, one.timestamp)
        found.setdefault(key_of(one), msgspec.structs.replace(one, late=one.timestamp < known - LATENESS))
    return found


class Partition:
    """Records that come little by little, and the last commit that the broker has."""

    def __init__(self, records: Sequence[Trade], chance: random.Random) -> None:
        self.records = records
        self.end = chance.randint(1, len(records))
        self.committed = 0
        self.metadata = ""


class OwnersStore(MemoryTrades):
    """The store as one owner sees it: each call takes a while, and a write may be carried out after a kill."""

    def __init__(self, shared: MemoryTrades, chance: random.Random, overdue: list[asyncio.Task[object]]) -> None:
        super().__init__(ENDLESS)
        self._shared = shared
        self._chance = chance
        self._overdue = overdue

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Add trades to the shared store."""
        try:
            await self._pass()
        except asyncio.CancelledError:
            if self._chance.random() < 0.5:
                self._overdue.append(asyncio.create_task(self._add_later(trades)))
            raise
        new = await self._shared.add(trades)
        await self._pass()
        return new

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """Read from the shared store."""
        await self._pass()
        return await self._shared.trades(asset, start, end, limit, newest_first=newest_first, after=after)

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """Read from the shared store."""
        return await self._shared.latest(assets)

    async def _add_later(self, trades: Sequence[Trade]) -> None:
        for _ in range(8):
            await self._pass()
        await self._shared.add(trades)

    async def _pass(self) -> None:
        for _ in range(self._chance.choice([0, 0, 1, 5])):
            await asyncio.sleep(0)


class OwnersLog:
    """`aggregator.trades.ports.TradeLog` of one owner of the partition."""

    trouble = ""
    backlog = Backlog(0, 0.0)
    lags: Sequence[PartitionLag] = ()

    def __init__(self, partition: Partition, chance: random.Random) -> None:
        self._partition = partition
        self._chance = chance
        start = parse_metadata(partition.metadata)
        committed = partition.committed
        self._assignment = Assignment(0, committed, partition.metadata, partition.end, start, SPAN)
        self._offset = self._assignment.starts.current.offset
        self._held = HeldCommits(Buried())
        self.is_done = asyncio.Event()

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:
        """Fail: the partition has its records from the start."""
        raise NotImplementedError("the owners of this test only read")

    async def room(self) -> None:
        """Do nothing."""

    async def next_batch(self) -> Sequence[Appended]:
        """Return the next records."""
        while not (batch := self.waiting_batch()):
            if self._offset == len(self._partition.records):  # nothing is in work while the processor waits here
                self.is_done.set()
            await asyncio.sleep(0)
        return batch

    def waiting_batch(self) -> Sequence[Appended]:
        """Return some records, divided as a log divides them."""
        partition, chance, one = self._partition, self._chance, self._assignment
        if chance.random() < 0.3:
            partition.end = min(len(partition.records), partition.end + chance.randint(1, 60))
        end = min(partition.end, self._offset + chance.choice([0, 1, 3, 10, 40, 200]))
        parts: list[FromPartition] = []
        for border in sorted({min(end, one.committed), min(end, one.uncertain_until), end}):
            if self._offset < border:
                parts.append(self._part(border))
                self._offset = border
        return parts

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """Return the whole batch after a while."""
        for _ in range(self._chance.choice([0, 0, 1, 5])):
            await asyncio.sleep(0)
        return batch

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  # nothing was appended
        """Note how far the partition is processed; the broker may learn of it."""
        self._held.commit([one for one in batch if isinstance(one, FromPartition)])
        if self._chance.random() < 0.4:
            self._partition.committed, self._partition.metadata = self._assignment.processed

    async def drained(self) -> None:
        """Do nothing."""

    def _part(self, end: int) -> FromPartition:
        one, first = self._assignment, self._offset
        trades = self._partition.records[first:end]
        is_replayed = end <= one.committed
        if is_replayed:
            one.starts.add(first, max(trade.timestamp for trade in trades))
        part = FromPartition(trades, "kafka", 0.0, one, first, end, NOW)
        part.is_replayed, part.ends_replay = is_replayed, end == one.committed
        part.is_uncertain = not is_replayed and first < one.uncertain_until
        return part


async def owner(one: Processing, log: OwnersLog, turns: int | None) -> None:
    """Run an owner for so many turns of the event loop, then kill it; None: until all is processed."""
    tasks = [asyncio.create_task(one.processor.run())]
    if one.processor.saver is not None:
        tasks.append(asyncio.create_task(one.processor.saver.run()))
    if turns is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENT):
                await log.is_done.wait()
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    assert not tasks[0].done() or tasks[0].result() is None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("seed", range(examples(240)))
async def test_owners_that_are_killed_at_any_await(seed: int) -> None:
    """Each trade is stored once and published as it is stored; features equal a naive recomputation."""
    chance = random.Random(seed)
    records = records_of(chance)
    partition, expected = Partition(records, chance), expected_of(records)
    shared, saved = MemoryTrades(ENDLESS, lambda: NOW), Kept() if chance.random() < 0.6 else None
    measured_at_start = ASSETS if chance.random() < 0.5 else []
    overdue: list[asyncio.Task[object]] = []
    owners = [*[chance.choice([3, 10, 30, 100, 200]) for _ in range(chance.randint(0, 4))], None]
    published: dict[Key, set[Trade]] = {}
    for turns in owners:
        one, log = Processing(), OwnersLog(partition, chance)
        one.begin(log, OwnersStore(shared, chance, overdue), lambda: NOW, saved, measured_at_start)
        await owner(one, log, turns)
        assert len({*map(key_of, one.trades)}) == len(one.trades)
        for trade in one.trades:
            published.setdefault(key_of(trade), set()).add(trade)
    await asyncio.gather(*overdue)
    assert published == {key: {trade} for key, trade in expected.items()}
    for asset in ASSETS:
        stored = await shared.trades(asset, 0, NOW, len(records), newest_first=False)
        assert stored == sorted((trade for trade in expected.values() if trade.asset == asset), key=trade_key)
        features = one.processor.features(asset)
        if features is not None:  # not so where this owner has had no trade of it
            assert_same(features, naive([trade for trade in stored if not trade.late]))
