"""The outbox of trades: keys that this process has added, and the file."""

from pathlib import Path

import pytest

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.recent_keys import RecentKeys
from aggregator.stores.trades.waiting_trades import WaitingTrades
from tests.stores.trades.parts import trade

# Keys that this process has added


def test_the_oldest_keys_are_forgotten_first() -> None:
    """Memory is bounded: after more keys than it holds, the first is new again."""
    recent = RecentKeys(most=3)
    recent.add(recent.unknown([trade(number) for number in range(3)]))
    new = recent.unknown([trade(0), trade(3), trade(3)])
    assert list(new.values()) == [trade(3)]
    recent.add(new)
    assert list(recent.unknown([trade(number) for number in range(4)]).values()) == [trade(0)]


# The outbox's file


async def test_a_full_file_refuses_trades_and_loses_none(tmp_path: Path) -> None:
    """Stored trades are not given up for new ones, which wait in the event log."""
    file = WaitingTrades(tmp_path / "trades-outbox.db", 1 << 20)
    await file.open()
    rows = 0
    while (await file.size()).bytes <= 1 << 20:
        await file.append([trade(number) for number in range(rows, rows + 100)])
        rows += 100
    with pytest.raises(StoreUnavailable, match="is full"):
        await file.append([trade(number) for number in range(rows, rows + 100)])
    assert (await file.size()).rows == rows
    await file.remove(await file.after(0, rows // 2))
    await file.append([trade(rows)])
    assert (await file.size()).rows == rows - rows // 2 + 1
    await file.close()


async def test_the_outbox_of_prices_is_no_outbox_of_trades(tmp_path: Path) -> None:
    """The same path for both is refused, with the name of the file."""
    prices = OutboxFile(tmp_path / "outbox.db", 1 << 20)
    await prices.open()
    await prices.close()
    trades = WaitingTrades(tmp_path / "outbox.db", 1 << 20)
    with pytest.raises(StoreRefused, match=r"outbox\.db has layout 1"):
        await trades.open()
    await trades.close()
