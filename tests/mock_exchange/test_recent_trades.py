"""The memory of the last trades: order and bounds."""

import json
from decimal import Decimal

from mock_exchange.recent_trades import MOST_KEPT, MOST_OF_SYMBOL, RecentTrades
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
