"""The port of analytics: which trades they take, with which features, and what they take again after a restart."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import StoreUnavailable
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.analytic import Measured
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.ports import TradeStore
from aggregator.trades.processor import Processor
from tests.trades.test_features import START, assert_same, naive, trade
from tests.trades.test_processor import ASSETS, ENDLESS, PATIENT, Heard, stored


class Recorded:
    """An analytic that keeps what it gets. Its first loads fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.loaded: list[str] = []
        self.taken: list[Measured] = []
        self.is_settled = True

    async def load(self, assets: Sequence[str]) -> None:
        """Note the assets, or fail."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        self.loaded += assets

    def take(self, measured: Sequence[Measured]) -> None:
        """Keep them. Each asset must have been loaded."""
        assert {one.trade.asset for one in measured} <= {*self.loaded}
        self.taken += measured

    def forget(self, asset: str) -> None:
        """Do nothing."""
        assert asset in ASSETS


async def taken(store: TradeStore, analytic: Recorded, batches: Sequence[Sequence[Trade]]) -> list[Measured]:
    """Return what the analytic gets when a processor processes the batches one by one."""
    log = MemoryLog(100_000)
    heard, metrics = Heard(), Metrics().trades
    processor = Processor(
        log, store, ASSETS, heard.bus, metrics, 5, 10_000, now=lambda: START + 300, analytics=[analytic]
    )
    task = asyncio.create_task(processor.run())
    try:
        for batch in batches:
            await stored(log, batch)
        if not batches:
            async with asyncio.timeout(PATIENT):
                while not analytic.taken:
                    await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return analytic.taken


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=30), st.integers(1, 30))
async def test_batches_make_no_difference(moments: list[tuple[int, int]], size: int) -> None:
    """Whatever the batches, analytics take each trade that is the newest of its asset, with the features at it."""
    sent = [trade(number, price, number + 1, at) for number, (at, price) in enumerate(moments)]
    batches = [sent[first : first + size] for first in range(0, len(sent), size)]
    found = await taken(MemoryTrades(ENDLESS), Recorded(), batches)
    expected, counting, newest = [], [], 0.0
    for one in sent:
        if one.timestamp < newest - 5:
            continue
        counting.append(one)
        is_newest = one.timestamp > newest or (
            one.timestamp == newest and all(one.id > other.id for other in counting[:-1] if other.timestamp == newest)
        )
        newest = max(newest, one.timestamp)
        if is_newest:
            expected.append((one, naive(counting)))
    assert [one.trade for one in found] == [one for one, _ in expected]
    assert all(one.live for one in found)
    for measured, (_, features) in zip(found, expected, strict=True):
        assert_same(measured.features, features)


async def test_a_trade_that_comes_again_is_taken_once() -> None:
    """Duplicates in a batch and in a later one are not taken, and neither are late trades."""
    batches = [[trade(1), trade(1)], [trade(1), trade(2, at=10)], [trade(3, at=4)]]
    found = await taken(MemoryTrades(ENDLESS), Recorded(), batches)
    assert [one.trade.id for one in found] == ["1", "2"]


async def test_stored_trades_are_taken_again_after_a_restart() -> None:
    """They come in order, marked as not live, after `load` has succeeded, with the same features as the first time."""
    store = MemoryTrades(ENDLESS)
    sent = [trade(number, 100 + number, number + 1, at=number * 7) for number in range(30)]
    before = await taken(store, Recorded(), [sent])
    after = await taken(store, Recorded(failures=2), [])
    assert [one.trade for one in after] == sent
    assert not any(one.live for one in after)
    assert [one.features for one in after] == [one.features for one in before]
