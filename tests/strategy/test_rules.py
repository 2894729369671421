"""The rules of the paper strategy, and the totals of what they close."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Trade
from aggregator.strategy.backtest import AssetBacktest
from aggregator.strategy.ports import Position
from aggregator.strategy.rules import AssetStrategy, Rules, position_id
from aggregator.strategy.signals import signal_of
from aggregator.strategy.totals import Tally
from tests.parts.paper_trading import LATENESS, MOST, NOW, RULES, assert_same, naive_replay, traded

WITHOUT_STOP = msgspec.structs.replace(RULES, stop=None)
prices = st.decimals("80", "125", places=2) | st.sampled_from([Decimal(98), Decimal(100), Decimal("102.9")])
steps = st.sampled_from([0.0, 0.5, 7.0, 20.0, 30.0, 61.0])
series = st.lists(st.tuples(steps, prices), max_size=60)


def in_order(drawn: list[tuple[float, Decimal]], asset: str = "btcusdt") -> list[Trade]:
    """Return trades in the order of their keys."""
    seconds, found = 0.0, []
    for number, (step, price) in enumerate(drawn):
        seconds += step
        found.append(traded(price, seconds, 1000 + number, asset))
    return found


def positions_of(trades: list[Trade], rules: Rules = RULES) -> list[Position]:
    """Return the positions of a backtest, the open one last."""
    one = AssetBacktest("btcusdt", rules, MOST, LATENESS)
    closed = one.take(trades)
    return closed if one.open is None else [*closed, one.open]


@given(series)
def test_positions_are_those_of_a_naive_replay(drawn: list[tuple[float, Decimal]]) -> None:
    """To the digit, with and without a stop; so at most one is open, and the sums of profits are equal."""
    trades = in_order(drawn)
    for rules in (RULES, WITHOUT_STOP):
        found, expected = positions_of(trades, rules), naive_replay(trades, rules)
        assert_same(found, expected)
        tally = Tally()
        for one in found:
            if one.exit_time is not None:
                tally.add(one, "usdt")
        totals = tally.totals()
        assert Fraction(totals.profit.get("usdt", Decimal(0))) == sum(one.profit or 0 for one in expected)
        assert totals.won == sum((one.profit or 0) > 0 for one in expected)


def test_a_position_from_drop_to_gain() -> None:
    """A fall of exactly 2 % in a minute buys, a price of exactly 5 % above the entry sells."""
    trades = [traded(100, 0), traded("98.01", 60), traded(98, 61), traded("102.89", 62), traded("102.9", 63)]
    (found,) = positions_of(trades)
    assert (found.entry_price, found.entry_time, found.quantity) == (Decimal(98), NOW + 61, Decimal("10.20408163"))
    assert (found.exit_price, found.exit_time, found.exit_reason) == (Decimal("102.9"), NOW + 63, "gain")
    assert found.profit == Decimal("49.999999987")
    assert found.id == position_id(trades[2])
    buy = signal_of(msgspec.structs.replace(found, exit_price=None, exit_time=None, exit_reason=None, profit=None))
    assert (buy.side, buy.reason, buy.price, buy.timestamp) == ("buy", "drop", Decimal(98), NOW + 61)
    assert buy.paper
    sell = signal_of(found)
    assert (sell.side, sell.reason, sell.position, sell.profit) == ("sell", "gain", found.id, found.profit)


def test_a_stop_sells_with_a_loss() -> None:
    """At exactly 3 % below the entry; without a stop the position is kept."""
    trades = [traded(100, 0), traded(90, 60), traded("87.31", 61), traded("87.3", 62)]
    (found,) = positions_of(trades)
    assert (found.exit_reason, found.exit_time, found.profit) == ("stop", NOW + 62, Decimal("-29.999999997"))
    (kept,) = positions_of(trades, WITHOUT_STOP)
    assert kept.exit_time is None


@pytest.mark.parametrize("drop", ["0.1", "0.3", "0.7", "1.1"])
def test_a_drop_of_exactly_the_setting_buys(drop: str) -> None:
    """Also where the percentage has no exact float."""
    rules = msgspec.structs.replace(RULES, drop=Decimal(drop))
    price = 100 - Decimal(drop)
    assert len(positions_of([traded(100, 0), traded(price, 60)], rules)) == 1
    assert positions_of([traded(100, 0), traded(price + Decimal("1e-9"), 60)], rules) == []


def test_trades_that_are_not_later_than_the_last_signal_are_skipped() -> None:
    """So a replay from any earlier trade makes nothing twice."""
    strategy = AssetStrategy(RULES, None, NOW + 60)
    assert strategy.take(traded(90, 60), -10.0) is None
    assert strategy.take(traded(90, 60.5), -10.0) is not None
    assert strategy.take(traded(200, 60.5), None) is None
    assert strategy.take(traded(200, 61), None) is not None


def test_no_position_without_a_lot() -> None:
    """An amount below the price of 0.00000001 units buys nothing."""
    rules = msgspec.structs.replace(RULES, amount=Decimal(1))
    assert positions_of([traded(10**10, 0), traded(10**9, 60)], rules) == []
    assert len(positions_of([traded(10**10, 0), traded(10**8, 60)], rules)) == 1


def test_ids_are_the_same_in_every_process() -> None:
    """They derive from the key of the trade."""
    assert position_id(traded(100, 0, 1)) == "c84daa9e161df1a94c960448"
    assert position_id(traded(100, 0, 1)) != position_id(traded(100, 0, 2))


def test_long_digits_stay_exact() -> None:
    """A profit has all digits of quantity and prices."""
    first, last = "0." + "0" * 8 + "1234567890123456789012", "0." + "0" * 7 + "1234567890123456789012"
    (found,) = positions_of([traded(1, 0), traded(first, 60), traded(last, 61)])
    assert Fraction(found.profit or 0) == Fraction(found.quantity) * (Fraction(last) - Fraction(first))
