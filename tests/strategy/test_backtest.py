"""The backtest over a store of trades: pages, and ranges that begin after the first trade."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.strategy.backtest import AssetBacktest, run_backtest
from aggregator.strategy.ports import Position
from tests.parts.paper_trading import LATENESS, MOST, NOW, RULES, assert_same, naive_replay, traded

prices = st.decimals("85", "120", places=1)
series = st.lists(st.tuples(st.sampled_from([0.5, 20.0, 61.0, 400.0]), prices), min_size=1, max_size=40)


class Pages:
    """A store of trades that notes the size of each page that is read."""

    def __init__(self) -> None:
        self.store = MemoryTrades(1e12, lambda: NOW)
        self.sizes: list[int] = []

    async def trades(self, *given_: Any, **named: Any) -> list[Trade]:
        """As `TradeReader.trades`."""
        found = await self.store.trades(*given_, **named)
        self.sizes.append(len(found))
        return found

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`."""
        return await self.store.latest(assets)


async def positions_of(reader: Pages, start: float) -> list[Position]:
    """Return the positions of a backtest from `start` on, the open one last."""
    one, found = AssetBacktest("btcusdt", RULES, MOST, LATENESS), []
    async for _, closed in run_backtest(one, reader, "btcusdt", start, NOW * 2, MOST):
        found += closed
    return found if one.open is None else [*found, one.open]


@settings(deadline=None)
@given(series, st.integers(0, 39))
async def test_a_range_begins_with_the_momentum_of_the_trades_before(
    drawn: list[tuple[float, Decimal]], first: int
) -> None:
    """However long before they were; they make no signal themselves."""
    seconds, trades = 0.0, []
    for number, (step, price) in enumerate(drawn):
        seconds += step
        trades.append(traded(price, seconds, 1000 + number))
    reader = Pages()
    await reader.store.add(trades)
    start = trades[min(first, len(trades) - 1)].timestamp
    assert_same(await positions_of(reader, start), naive_replay(trades, RULES, start))


async def test_trades_are_read_in_pages() -> None:
    """So that memory does not grow with the range."""
    trades = [traded(100 + 10 * (number // 150 % 2), number, 10_000 + number) for number in range(2_500)]
    reader = Pages()
    await reader.store.add(trades)
    found = await positions_of(reader, NOW)
    assert len(found) > 3
    assert_same(found, naive_replay(trades))
    assert reader.sizes == [0, 1000, 1000, 500]
