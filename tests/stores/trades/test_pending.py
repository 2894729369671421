"""Trades that wait for their block in SQLite: how many they become."""

from math import inf

import pytest

from aggregator.stores.trades.pending import PendingTrades, Row
from aggregator.trades.event_log.memory import BATCH
from tests.stores.trades.parts import trade

FULL = 2 * BATCH


def test_moves_keep_up_with_the_largest_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the largest batches come one after the other, no more than two generations wait."""
    monkeypatch.setattr("aggregator.stores.trades.pending.FULL", FULL)
    pending, one = PendingTrades(), trade(0)
    for number in range(20):
        move = pending.next_move(BATCH, 0.0)
        pending.add(Row(number, [one] * BATCH))
        if move.lists:
            pending.remove(move)
        waiting = pending.between(one.asset, 0, inf, 1_000_000, newest_first=False, after=None)
        assert len(waiting) <= 2 * (FULL + BATCH)
