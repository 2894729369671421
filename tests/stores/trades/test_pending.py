"""Trades that wait for their block in SQLite: how many they become."""

from math import inf

import pytest

from aggregator.models import encode
from aggregator.stores.trades.foreign_rows import foreign_row
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


def doubtful(pending: PendingTrades, *numbers: int) -> list[bool]:
    """Return, for trades of these numbers that come in one call, whether blocks may have them."""
    found = pending.candidates([trade(number, trade_id=f"new {number}") for number in numbers])
    return [index in found.doubtful for index in range(len(numbers))]


def test_blocks_are_asked_only_for_trades_as_old_as_those_they_have() -> None:
    """A trade that is older than one that waits is in no block if it is newer than all that have been moved."""
    pending = PendingTrades()
    assert doubtful(pending, 5) == [True]  # nothing is known of the asset
    pending.learn_newest({"btcusdt": trade(10).timestamp})
    assert doubtful(pending, 20, 9, 10, 11, 20) == [False, True, True, False, False]
    pending.add(Row(1, [trade(12), trade(15), trade(20)]))
    assert doubtful(pending, 12, 15) == [False, False]
    pending.remove(pending.rest(0.0))
    assert doubtful(pending, 15, 20, 19, 21) == [True, True, True, False]


def test_blocks_may_have_what_another_process_has_in_the_journal() -> None:
    """It may move its trades at any time. Once rows have come and gone unseen, nothing is known."""
    pending = PendingTrades()
    pending.learn_newest({"btcusdt": None})
    assert doubtful(pending, 30, 10) == [False, False]
    pending.add_foreign([foreign_row(1, encode([trade(20)]))], 0.0)
    assert doubtful(pending, 20, 21) == [True, False]
    pending.learn_newest({"btcusdt": trade(5).timestamp})
    assert doubtful(pending, 20, 21) == [True, False]
    pending.forget_newest()
    assert doubtful(pending, 40) == [True]
