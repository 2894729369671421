"""Bounds of the stores in memory, which have no disk."""

from decimal import Decimal

from aggregator.stores.events import memory
from aggregator.stores.events.memory import MemoryPositions
from aggregator.strategy.ports import Position


async def test_closed_positions_are_bounded() -> None:
    """Those that were closed first are dropped."""
    positions = MemoryPositions()
    for number in range(memory._MOST_CLOSED + 2):
        position = Position(str(number), "btcusdt", Decimal(1), Decimal(1), number, Decimal(1), number + 1)
        assert await positions.open(position)
        assert await positions.close_position(position)
    kept = await positions.closed(None, 2 * memory._MOST_CLOSED)
    assert (len(kept), kept[-1].id) == (memory._MOST_CLOSED, "2")
