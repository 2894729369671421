"""The memory of the last trades, and of those that are sent later: order and bounds."""

import json
from decimal import Decimal

from mock_exchange.recent_trades import MOST_KEPT, MOST_OF_SYMBOL, RecentTrades
from mock_exchange.trade_feed import MOST_DELAYED, Delayed, Line
from mock_exchange.trades import Trade


def keep(recent: RecentTrades, number: int, symbol: str) -> None:
    """Add the trade with this id."""
    trade = Trade(number, symbol, Decimal(1), Decimal(1), "buy", float(number))
    recent.add(trade, f'"{number}"')


def ids(recent: RecentTrades, *symbols: str, limit: int = MOST_OF_SYMBOL) -> list[int]:
    """Return the ids that a call is answered with."""
    return [int(one) for one in json.loads(recent.json(symbols, limit))["trades"]]


def test_the_last_trades_of_each_symbol_oldest_first() -> None:
    """The limit is for each symbol, the order one for all; ids of another length do not change it."""
    recent = RecentTrades()
    for number in range(95, 105):
        keep(recent, number, "ab"[number % 2])
    assert ids(recent, "a", "b") == list(range(95, 105))
    assert ids(recent, "b", "a", limit=2) == [101, 102, 103, 104]
    assert ids(recent, "a", limit=3) == [100, 102, 104]
    assert ids(recent, "nosuchpair") == []


def test_a_symbol_has_at_most_a_thousand() -> None:
    """Older ones are forgotten."""
    recent = RecentTrades()
    for number in range(MOST_OF_SYMBOL + 10):
        keep(recent, number, "a")
    assert ids(recent, "a") == list(range(10, MOST_OF_SYMBOL + 10))


def test_all_symbols_together_are_bounded() -> None:
    """The oldest trades of all are forgotten, also those of a symbol that has few."""
    recent = RecentTrades()
    keep(recent, 0, "rare")
    keep(recent, 1, "rare")
    for number in range(2, MOST_KEPT):
        keep(recent, number, f"{number % 100}")
    assert ids(recent, "rare") == [0, 1]
    keep(recent, MOST_KEPT, "0")
    assert ids(recent, "rare") == [1]
    keep(recent, MOST_KEPT + 1, "1")
    assert ids(recent, "rare") == []
    assert ids(recent, "2", limit=1) == [MOST_KEPT - 98]


def line(number: int) -> Line:
    """Return the trade with this id."""
    return Line(Trade(number, "a", Decimal(1), Decimal(1), "buy", float(number)), "")


def test_delayed_trades_are_due_once() -> None:
    """In the order of their times; those of the same time in the order in which they were added."""
    delayed = Delayed()
    for at, number in ((3.0, 1), (2.0, 2), (2.0, 3), (5.0, 4)):
        assert delayed.add(at, line(number))
    assert delayed.due(1.9) == []
    assert [one.trade.id for one in delayed.due(3.0)] == [2, 3, 1]
    assert delayed.due(4.9) == []
    assert delayed.due(9.0) == [line(4)]


def test_delayed_trades_are_bounded() -> None:
    """Further ones are refused until some were due."""
    delayed = Delayed()
    assert all(delayed.add(float(number), line(number)) for number in range(MOST_DELAYED))
    assert not delayed.add(0.0, line(-1))
    assert delayed.due(0.0) == [line(0)]
    assert delayed.add(0.0, line(-1))
