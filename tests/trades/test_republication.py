"""Trades that come again after a takeover: each is published once by a process, always as it was stored."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from msgspec.structs import replace

from aggregator.models import Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.analytic import Analytic
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.event_log.window_start import WindowStart
from aggregator.trades.ports import Appended, Backlog, PartitionLag, Receipt
from tests.parts.processing import Processing, trade
from tests.trades.test_analytics import Recorded
from tests.trades.test_features import START, assert_same, naive

ENDLESS = 1e12  # seconds of retention
SPAN = 310.0
NOW = START + 5000
ASSET = "asset1"
BEGINNING = WindowStart(0, 1.0)  # of a partition whose trades are all newer


def at(number: int, seconds: float) -> Trade:
    """Return a trade of the asset so many seconds after the start."""
    return trade(number, ASSET, START + seconds)


class Script:
    """`aggregator.trades.ports.TradeLog` of one partition: records read again, then records that may be stored."""

    trouble = ""
    backlog = Backlog(0, 0.0)
    lags: Sequence[PartitionLag] = ()

    def __init__(
        self, replayed: Sequence[Trade], batches: Sequence[Sequence[Trade]], start: WindowStart = BEGINNING
    ) -> None:
        committed = len(replayed)
        end = committed + sum(map(len, batches))
        self._assignment = Assignment(0, committed, "", end, start, SPAN)
        self._offset = 0
        self._batches = [self._part(replayed, is_replayed=True)] if replayed else []
        self._batches += [self._part(one, is_replayed=False) for one in batches]
        self.is_done = asyncio.Event()

    def _part(self, trades: Sequence[Trade], *, is_replayed: bool) -> FromPartition:
        first, self._offset = self._offset, self._offset + len(trades)
        part = FromPartition(trades, "kafka", 0.0, self._assignment, first, self._offset, NOW)
        part.is_replayed = part.ends_replay = is_replayed
        part.is_uncertain = not is_replayed
        return part

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:
        """Refuse: this log has what it was given at its start."""
        raise NotImplementedError("the log has its trades from the start")

    async def room(self) -> None:
        """Do nothing."""

    async def next_batch(self) -> Sequence[Appended]:
        """Return the next batch; wait for ever after the last."""
        if not self._batches:
            self.is_done.set()
            await asyncio.Event().wait()
        return [self._batches.pop(0)]

    def waiting_batch(self) -> Sequence[Appended]:
        """Return nothing, so that each batch is finished before the next one."""
        return ()

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """Return the whole batch."""
        return batch

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:
        """Do nothing."""

    async def drained(self) -> None:
        """Do nothing."""


async def processed(
    store: MemoryTrades, log: Script, assets: Sequence[str] = (), analytics: Sequence[Analytic] = ()
) -> Processing:
    """Return a processor that has taken the partition over and processed all of it.

    At its start it measures the stored trades of `assets`, as a process does that answers requests.
    """
    one = Processing()
    one.begin(log, store, lambda: NOW, assets=assets, analytics=analytics)
    task = asyncio.create_task(one.processor.run())
    await asyncio.wait([task, asyncio.create_task(log.is_done.wait())], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return one


async def published(store: MemoryTrades, replayed: Sequence[Trade], *batches: Sequence[Trade]) -> list[Trade]:
    """Return what a processor publishes that takes the partition over."""
    return (await processed(store, Script(replayed, batches))).trades


@pytest.fixture
def store() -> MemoryTrades:
    """Return a store."""
    return MemoryTrades(ENDLESS, lambda: NOW)


def log_of_windows() -> list[Trade]:
    """Return records, of more than five minutes, that windows are complete with."""
    return [at(number, 10 * number) for number in range(50)]


async def test_a_late_trade_that_comes_twice_is_published_once(store: MemoryTrades) -> None:
    """A producer's repetition of a late trade, which was not stored before, is no second event."""
    replayed, late = log_of_windows(), at(60, 400)
    await store.add(replayed)
    assert await published(store, replayed, [at(61, 500), late], [late]) == [at(61, 500), replace(late, late=True)]


async def test_a_late_trade_that_comes_twice_and_was_stored_is_published_once(store: MemoryTrades) -> None:
    """An earlier owner has stored it and may not have published it: its first record is published, its second not."""
    replayed, late = log_of_windows(), at(60, 400)
    await store.add([*replayed, at(61, 500), replace(late, late=True)])
    found = await published(store, replayed, [at(61, 500), late], [late])
    assert found == [at(61, 500), replace(late, late=True)]


async def test_a_late_trade_that_comes_again_with_another_price_is_published_as_stored(store: MemoryTrades) -> None:
    """An earlier owner may have published it as it was stored; the first of a key counts."""
    replayed, late = log_of_windows(), at(60, 400)
    await store.add([*replayed, at(61, 500), replace(late, late=True)])
    found = await published(store, replayed, [at(61, 500), replace(late, price=late.price + 1)])
    assert found == [at(61, 500), replace(late, late=True)]


async def test_a_late_trade_that_an_earlier_owner_has_published_is_not_published_again(store: MemoryTrades) -> None:
    """Records that are read again are published, the late ones too."""
    late = at(60, 400)
    replayed = [*log_of_windows(), late]
    await store.add([*replayed[:-1], replace(late, late=True)])
    assert await published(store, replayed, [at(61, 500)], [late]) == [at(61, 500)]


async def test_a_trade_on_time_that_comes_again_too_late_is_not_published_as_late(store: MemoryTrades) -> None:
    """It was published as it was stored, by whichever owner: in windows, before them, and by this process."""
    before, replayed, on_time = at(70, -400), log_of_windows(), at(61, 500)
    await store.add([before, *replayed])
    again = [on_time, at(62, 550), replayed[40], before, on_time]
    assert await published(store, replayed, again[:1], again[1:]) == [on_time, at(62, 550)]


async def test_a_late_trade_older_than_the_window_from_the_store_is_published(store: MemoryTrades) -> None:
    """The windows are from the store; the trade is older than all that was read for them."""
    known, late = [at(number, number) for number in range(3000)], at(4000, -10)
    await store.add([*known, replace(late, late=True)])
    found = await published(store, [], [late, at(4001, 3001)], [late])
    assert found == [replace(late, late=True), at(4001, 3001)]


@pytest.mark.parametrize("assets", [(), (ASSET,)])
async def test_a_stored_trade_that_was_not_published_is_in_windows(store: MemoryTrades, assets: Sequence[str]) -> None:
    """The owner before was killed between the store and the commit. The windows are from records read again.

    So it is, too, where the process has measured the stored trades at its start.
    """
    replayed, pending = log_of_windows(), [at(60, 500), at(61, 510)]
    await store.add([*replayed, *pending])
    found = await processed(store, Script(replayed, [pending]), assets)
    assert found.trades == pending
    features = found.processor.features(ASSET)
    assert features is not None
    assert_same(features, naive([*replayed, *pending]))


async def test_a_trade_in_windows_of_the_store_that_comes_again_with_another_price(store: MemoryTrades) -> None:
    """An earlier owner may have published it: it is published again as it was stored, and counts once."""
    known = [at(number, 30 * number) for number in range(30)]
    await store.add(known)
    another, new = replace(known[-1], price=known[-1].price + 1), at(31, 900)
    found = await processed(store, Script([], [[another, new]]))
    assert found.trades == [known[-1], new]
    features = found.processor.features(ASSET)
    assert features is not None
    assert_same(features, naive([*known, new]))


async def test_features_of_trades_that_are_published_again(store: MemoryTrades) -> None:
    """They are published, too: the owner before may not have done so. A late trade beside them changes nothing."""
    known, late = [at(number, 30 * number) for number in range(30)], at(40, 100)
    await store.add(known)
    found = await processed(store, Script([], [[known[-1], late]]))
    assert found.trades == [known[-1], replace(late, late=True)]
    (features,) = found.published
    assert_same(features, naive(known))


class Taking(Recorded):
    """An analytic that keeps what it gets."""

    def forget(self, asset: str) -> None:
        """Do nothing."""
        assert asset == ASSET


async def test_analytics_learn_which_trades_come_again(store: MemoryTrades) -> None:
    """An earlier owner may have told what it found in a stored trade: what its model finds is not told once more."""
    replayed, pending, new = log_of_windows(), at(60, 500), at(61, 510)
    await store.add([*replayed, pending])
    analytic = Taking()
    await processed(store, Script(replayed, [[pending, new]]), analytics=[analytic])
    assert [(one.trade, one.live) for one in analytic.taken[-2:]] == [(pending, False), (new, True)]


class Overtaken(MemoryTrades):
    """A store into which the owner before writes its last batch after the next one has read the windows."""

    def __init__(self, written: Sequence[Trade]) -> None:
        super().__init__(ENDLESS, lambda: NOW)
        self.written = written

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Add trades, after those of the owner before."""
        written, self.written = self.written, ()
        await super().add(written)
        return await super().add(trades)


async def test_a_trade_that_the_owner_before_stores_after_the_takeover_is_in_windows() -> None:
    """Its write has waited for the store; the next owner has read windows without it, and finds it stored.

    It is published as it was stored, and has its part in windows; one that is late has none.
    """
    known, late = [at(number, 30 * number) for number in range(30)], replace(at(40, 880), late=True)
    pending = [at(31, 890), at(32, 900), late]
    store = Overtaken(pending)
    await MemoryTrades.add(store, known)
    batches = [[at(31, 890), at(32, 900), at(40, 880)], [at(33, 910)]]
    found = await processed(store, Script([], batches))
    assert found.trades == [*pending, at(33, 910)]
    features = found.processor.features(ASSET)
    assert features is not None
    assert_same(features, naive([*known, *pending[:2], at(33, 910)]))
