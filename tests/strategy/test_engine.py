"""The paper strategy as an analytic: one position an asset, each signal once, whatever is killed or repeated."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Trade, trade_key
from aggregator.strategy.ports import Position
from aggregator.strategy.signals import SIGNALS, Signal, signal_of
from tests.parts.paper_trading import (
    NOW,
    PaperProcess,
    PaperTrading,
    assert_same,
    naive_replay,
    traded,
    until,
)

ASSETS = ("btcusdt", "ethusdt")
DROP = [traded(100, 0, 1), traded(97, 60, 2)]
prices = st.decimals("85", "120", places=1)
steps = st.sampled_from([0.0, 7.0, 30.0, 61.0])
drawn_trades = st.lists(st.tuples(steps, prices, st.sampled_from(ASSETS)), min_size=5, max_size=60)
kills = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8) | st.none()), max_size=12)


def in_order(drawn: Sequence[tuple[float, Decimal, str]]) -> list[Trade]:
    """Return trades in the order of their keys."""
    seconds, found = 0.0, []
    for number, (step, price, asset) in enumerate(drawn):
        seconds += step
        found.append(traded(price, seconds, 1000 + number, asset))
    return found


async def check(trading: PaperTrading, trades: Sequence[Trade]) -> None:
    """Assert that positions and signals are those of a naive replay, each once, and published ones are stored."""
    found = await trading.positions()
    for asset in ASSETS:
        assert_same(
            [one for one in found if one.asset == asset], naive_replay(one for one in trades if one.asset == asset)
        )
    expected = {f"{one.id}-buy" for one in found} | {signal_of(one).id for one in found}
    assert await trading.event_ids() == expected
    assert set(trading.received.signals) <= expected


@settings(deadline=None)
@given(drawn_trades, kills, st.lists(st.integers(1, 7), max_size=10))
async def test_kills_and_duplicates_change_nothing(
    drawn: list[tuple[float, Decimal, str]], killed: list[tuple[int, int | None]], again: list[int]
) -> None:
    """Micro-batches of any size, some delivered again; kills before and after any call of a store."""
    trades = in_order(drawn)
    trading = PaperTrading(ASSETS)
    process, start = await trading.start(), 0
    for size, half_calls in killed:
        await process.process(trades[start : start + size])
        await process.write(half_calls)
        start += size
        if half_calls is not None:
            process = await trading.start()
        if again:
            await process.process(trades[: start - again.pop()])
    await process.process(trades[start:])
    await process.write()
    await check(trading, trades)


@settings(deadline=None)
@given(drawn_trades, st.integers(1, 60))
async def test_micro_batches_make_no_difference(drawn: list[tuple[float, Decimal, str]], size: int) -> None:
    """The positions are the same to the digit, ids included."""
    trades, found = in_order(drawn), []
    for length in (size, len(trades)):
        trading = PaperTrading(ASSETS)
        process = await trading.start()
        for start in range(0, len(trades), length):
            await process.process(trades[start : start + length])
        await process.write()
        found.append(await trading.positions())
        assert set(trading.received.signals) == await trading.event_ids()
    assert found[0] == found[1]
    await check(trading, trades)


async def test_signals_do_not_fill_the_log() -> None:
    """Their lines are at debug: there may be one for each trade, and the metrics count them."""
    trading = PaperTrading()
    process = await trading.start()
    with capture_logs() as logs:
        await process.process(DROP)
        await process.write()
    assert len(trading.received.signals) == 1
    assert [line for line in logs if line["log_level"] != "debug"] == []


@pytest.mark.parametrize("half_calls", [0, 1, 2, 3, 4])
async def test_a_killed_process_loses_no_signal(half_calls: int) -> None:
    """Whichever call of a store was its last, the next process has it stored; if it is new, it is published."""
    trading = PaperTrading()
    process = await trading.start()
    await process.process(DROP)
    await process.write(half_calls)
    published_before = len(trading.received.signals)
    process = await trading.start()
    await process.write()
    (position,) = await trading.positions()
    assert await trading.event_ids() == {f"{position.id}-buy"}
    # The event of a process that was killed between the store and the publication is only in the store.
    assert len(trading.received.signals) == (0 if half_calls == 3 else 1)
    assert published_before == (half_calls == 4)


async def test_the_topic_has_what_is_stored() -> None:
    """Signals are stored before they are published, and counted."""
    trading = PaperTrading()
    process = await trading.start()
    await process.process([*DROP, traded("101.85", 70, 3)])
    assert not trading.received.signals
    await process.write()
    assert [(one.side, one.reason, one.price) for one in trading.received.signals.values()] == [
        ("buy", "drop", 97),
        ("sell", "gain", Decimal("101.85")),
    ]
    events = await trading.stored_events.events(SIGNALS.name, "btcusdt", 0, NOW * 2, 9, newest_first=False)
    assert SIGNALS.decode(b"[" + b",".join(one.body for one in events) + b"]") == [*trading.received.signals.values()]
    value = process.metrics.registry.get_sample_value
    assert value("strategy_signals_total", {"side": "sell", "reason": "gain"}) == 1
    assert value("strategy_positions_closed_total", {"outcome": "won"}) == 1
    process.strategy.report()
    assert value("strategy_open_positions") == 0


class Away:
    """A store that fails as often as `failures` says."""

    def __init__(self, store: object, failures: int, error: Exception) -> None:
        self._store = store
        self.failures = failures
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def call(*given: object, **named: object) -> object:
            if self.failures:
                self.failures -= 1
                raise self._error
            return await getattr(self._store, name)(*given, **named)

        return call


async def started(trading: PaperTrading, failures: int, error: Exception, store: str = "stored_positions") -> Any:
    """Return a process one of whose stores fails after its start."""
    away = Away(getattr(trading, store), 0, error)
    setattr(trading, store, away)
    process = await trading.start()
    away.failures = failures
    return process


@pytest.mark.parametrize("store", ["stored_positions", "stored_events"])
async def test_a_store_that_is_away_delays_signals(store: str) -> None:
    """They are written once it is back, in order, and nothing is lost."""
    trading = PaperTrading()
    process = await started(trading, 3, StoreUnavailable("away"), store)
    await process.process([*DROP, traded(120, 70, 3)])
    await process.write()
    (position,) = await trading.positions()
    assert position.exit_price == 120
    assert [one.side for one in trading.received.signals.values()] == ["buy", "sell"]


async def running_until(process: PaperProcess, condition: Any) -> None:
    """Run the strategy until a condition holds."""
    running = asyncio.create_task(process.strategy.run())
    await until(condition)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def reloaded(process: PaperProcess) -> float:
    """Return how often the state of an asset was read again."""
    return process.metrics.registry.get_sample_value("strategy_assets_reloaded_total") or 0.0


async def test_a_position_that_the_store_refuses_is_none() -> None:
    """The strategy continues from what is stored: it buys at the next drop."""
    trading = PaperTrading()
    process = await started(trading, 1, StoreRefused("no"))
    await process.process(DROP)
    await running_until(process, lambda: reloaded(process) == 1)
    assert not trading.received.signals
    await process.process([traded(96, 61, 3)])
    await process.write()
    (position,) = await trading.positions()
    assert position.entry_price == 96


async def test_another_owner_decides() -> None:
    """Where the store has another open position, a process makes no signal of its own, and continues from that one."""
    trading = PaperTrading()
    process = await trading.start()
    other = Position("other", "btcusdt", Decimal(1), Decimal(50), NOW + 59)
    await trading.stored_positions.open(other)
    await process.process(DROP)
    await running_until(process, lambda: reloaded(process) == 1)
    assert [*trading.received.signals] == ["other-buy"]  # made of the stored position, as its event is missing
    await process.process([traded(98, 62, 3)])
    await process.write()
    signal = trading.received.signals["other-sell"]
    assert (signal.side, signal.position, signal.profit) == ("sell", "other", Decimal(48))


async def test_the_queue_is_bounded() -> None:
    """While the store is away for long, positions of the asset that waits longest are dropped and counted."""
    trading = PaperTrading(ASSETS)
    trading.most_waiting = 2
    process = await trading.start()
    await process.process([traded(100, 0, 1, asset) for asset in ASSETS])
    await process.process([traded(97, 60, 2, asset) for asset in ASSETS])
    await process.process([traded(120, 61, 3)])
    assert process.strategy.waiting == 1
    value = process.metrics.registry.get_sample_value
    assert value("analytics_events_dropped_total", {"topic": "signals"}) == 2
    await running_until(process, lambda: reloaded(process) == 1 and not process.strategy.waiting)
    assert [one.asset for one in await trading.positions()] == ["ethusdt"]


async def test_trades_of_an_asset_that_is_not_loaded_are_left_out() -> None:
    """Until its state has been read."""
    trading = PaperTrading()
    process = await trading.start()
    process.strategy.forget("btcusdt")
    await process.process(DROP)
    assert process.strategy.waiting == 0
    await running_until(process, lambda: reloaded(process) == 1)


async def test_a_stop_writes_what_waits() -> None:
    """And drops what the store does not take in time."""
    trading = PaperTrading()
    process = await trading.start()
    await process.process(DROP)
    running = asyncio.create_task(process.strategy.run())
    await process.strategy.drain(60)
    assert len(trading.received.signals) == 1
    process.gate.left = 0
    await process.process([traded(120, 70, 3)])
    await process.strategy.drain(0)
    assert process.strategy.waiting == 0
    assert len(trading.received.signals) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_signal_survives_the_way_through_redis() -> None:
    """What one process encodes, another decodes."""
    one = Signal("a-buy", "btcusdt", "buy", "drop", Decimal("1.50"), Decimal(2), 3.5, "a")
    assert SIGNALS.decode(SIGNALS.encode([one])) == [one]


def test_trades_are_in_order() -> None:
    """The examples are in the order of keys, which a naive replay needs."""
    assert [*map(trade_key, DROP)] == sorted(map(trade_key, DROP))
