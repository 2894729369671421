"""The processor: each trade counts once in store and windows, whatever is sent twice, late, or cut by a restart."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import StoreUnavailable
from aggregator.live.topics import Bus
from aggregator.models import Trade, trade_key
from aggregator.observability.metrics import Metrics
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.features import Features
from aggregator.trades.ports import BacklogFull, Receipt, TradeStore
from aggregator.trades.processor import Processor
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.processing import Into
from tests.trades.test_features import START, assert_same, naive, trade

ENDLESS = 1e12  # seconds of retention
ASSETS = ("btcusdt", "ethusdt")
PATIENT = 60.0  # seconds; a limit for a busy machine, no promise


class Heard:
    """A listener that keeps what it gets."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.features: list[Features] = []
        self.bus = Bus([TRADES, FEATURES])
        self.bus.listen(TRADES, Into(self.trades))
        self.bus.listen(FEATURES, Into(self.features))


@asynccontextmanager
async def processing(
    store: TradeStore, heard: Heard, most: int = 100_000
) -> AsyncIterator[tuple[MemoryLog, Processor]]:
    """Run a processor on the store."""
    log = MemoryLog(most)
    processor = Processor(log, store, ASSETS, heard.bus, Metrics().trades, 5, 10_000, now=lambda: START + 60)
    task = asyncio.create_task(processor.run())
    try:
        yield log, processor
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stored(log: MemoryLog, *batches: Sequence[Trade]) -> list[Receipt]:
    """Append the batches and wait until all are stored."""
    async with asyncio.timeout(PATIENT):
        return list(await asyncio.gather(*[log.append(batch) for batch in batches]))


async def test_a_trade_is_stored_measured_and_published_once() -> None:
    """Whether a trade comes twice in one call, in two calls of one batch, or later, it counts once."""
    store, heard = MemoryTrades(ENDLESS), Heard()
    first, second = trade(1, 100, 10), trade(2, 200, 20, 1)
    async with processing(store, heard) as (log, processor):
        receipts = await stored(log, [first, first], [first, second])
        again = await stored(log, [second, trade(1, 999, 10)])
        found = processor.features("btcusdt")
    assert receipts == [Receipt(1, 1), Receipt(1, 1)]
    assert again == [Receipt(0, 2)]
    assert heard.trades == [first, second]
    assert found is not None
    assert found.vwap_5min == pytest.approx(500 / 3)
    assert found.trade_frequency == 2
    assert await store.trades("btcusdt", 0, START + 9, 9, newest_first=False) == [first, second]


async def test_a_late_trade_is_stored_and_not_measured() -> None:
    """A trade more than five seconds behind the newest of its asset is stored and marked, and no window has it."""
    store, heard = MemoryTrades(ENDLESS), Heard()
    async with processing(store, heard) as (log, processor):
        await stored(log, [trade(1, at=10), trade(2, at=5), trade(3, at=4.999999)])
        found, quote = processor.features("btcusdt"), processor.quote("btcusdt")
    assert [one.late for one in heard.trades] == [False, False, True]
    assert found is not None
    assert found.trade_frequency == 2
    assert quote == trade(1, at=10)
    assert [one.late for one in await store.trades("btcusdt", 0, START + 99, 9, newest_first=False)] == [
        True,
        False,
        False,
    ]


class Failing(MemoryTrades):
    """A store that is away for some calls."""

    failures = 2

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Fail, or add."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        return await super().add(trades)


async def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    """While the store is away trades wait, `trouble` says why, and then all are stored."""
    store, heard = Failing(ENDLESS), Heard()
    async with processing(store, heard) as (log, processor):
        waiting = log.append([trade(1)])
        async with asyncio.timeout(PATIENT):
            while not processor.trouble:
                await asyncio.sleep(0.01)
        assert processor.trouble == "the disk is full"
        assert not waiting.done()
        assert not heard.trades
        async with asyncio.timeout(PATIENT):
            assert await waiting == Receipt(1, 0)
        assert processor.trouble == ""


async def test_a_full_backlog_refuses_and_frees() -> None:
    """The log refuses whole appends while it is full, says when to come again, and takes more once it has stored."""
    store, heard = MemoryTrades(ENDLESS), Heard()
    log = MemoryLog(2)
    first = log.append([trade(1), trade(2), trade(3)])
    with pytest.raises(BacklogFull) as refused:
        log.append([trade(4)])
    assert refused.value.retry_after >= 1
    processor = Processor(log, store, ASSETS, heard.bus, Metrics().trades, 5, 10_000, now=lambda: START + 60)
    task = asyncio.create_task(processor.run())
    async with asyncio.timeout(PATIENT):
        await log.room()
        await log.append([trade(4)])
    task.cancel()
    assert first.result() == Receipt(3, 0)
    assert len(heard.trades) == 4


_events = st.lists(
    st.tuples(
        st.integers(0, 40),  # which trade: small numbers come again
        st.integers(0, 20),  # seconds of its time
        st.sampled_from(["btcusdt", "ethusdt"]),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15)
@given(_events, st.lists(st.integers(4, 12), min_size=1, max_size=6), st.booleans())
async def test_windows_equal_a_naive_recomputation(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, int, str, int]],
    sizes: list[int],
    restarts: bool,  # noqa: FBT001  # Hypothesis passes it by position
) -> None:
    """Duplicates, reorderings, late trades, batches of any size and restarts: the windows equal the definition."""
    path = tmp_path_factory.mktemp("trades") / "trades.db"
    sent = [
        Trade(asset, Decimal(price), Decimal(number + 1), START + at, "binance", str(number))
        for number, at, asset, price in events
    ]
    features: dict[str, Features | None] = {}
    place = 0
    while place < len(sent):
        heard = Heard()
        store = await opened(path)
        async with processing(store, heard) as (log, processor):
            while place < len(sent):
                await stored(log, sent[place : place + sizes[0]])
                place += sizes[0]
                sizes = [*sizes[1:], sizes[0]]
                if restarts:
                    break
            features = {asset: processor.features(asset) for asset in ("btcusdt", "ethusdt")}
        await store.close()
    expected = counted(sent)
    for asset, found in features.items():
        assert (found is None) == (asset not in expected)
        if found is not None:
            assert_same(found, naive(expected[asset]))


async def opened(path: Path) -> SqliteTrades:
    """Open the store."""
    store = SqliteTrades(path, ENDLESS, lambda: START + 60)
    await store.open()
    return store


def counted(sent: Sequence[Trade]) -> dict[str, list[Trade]]:
    """Return the trades that count, by asset: of each key the first, without the late ones."""
    keys: set[tuple[object, ...]] = set()
    newest: dict[str, float] = {}
    found: dict[str, list[Trade]] = {}
    for one in sent:
        key = (one.asset, *trade_key(one))
        if key in keys:
            continue
        keys.add(key)
        if one.timestamp >= newest.get(one.asset, 0) - 5:
            found.setdefault(one.asset, []).append(one)
        newest[one.asset] = max(one.timestamp, newest.get(one.asset, 0))
    return found
