"""The gaps of a feed of trades: where they begin, what fills them, and when they are filled."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.exchanges.dialect import Execution, Unreadable
from aggregator.exchanges.push.trade_gaps import MOST_IDS, Gaps
from aggregator.models import Side, Trade

MOST = 1000


def trade(number: int, timestamp: float) -> Trade:
    """Return a delivered trade."""
    return Trade("btcusdt", Decimal(1), Decimal(1), timestamp, "mock", str(number))


def answered(number: int, timestamp: float) -> Execution:
    """Return a trade in an answer."""
    return Execution("btcusdt", Decimal(1), Decimal(1), timestamp, str(number), Side.BUY)


def interrupted(*delivered: Trade) -> Gaps:
    """Return the gaps of a feed that was interrupted after these trades; it began at 100."""
    gaps = Gaps()
    gaps.begin("btcusdt", 100.0)
    for one in delivered:
        gaps.add(one)
    gaps.interrupt()
    return gaps


def ids(found: object) -> list[str]:
    """Return the ids of the executions among records."""
    assert isinstance(found, list)
    return [one.id for one in found if isinstance(one, Execution)]


def test_newer_trades_fill_the_gap() -> None:
    """What was delivered before is left out, and what shares the time of the last one is not."""
    gaps = interrupted(trade(1, 101), trade(2, 102))
    missing = gaps.missing("btcusdt", [answered(1, 101), answered(2, 102), answered(3, 102), answered(4, 103)], MOST)
    assert ids(missing.records) == ["3", "4"]
    assert missing.complete


def test_what_came_after_the_interruption_is_left_out() -> None:
    """Trades that the new connection has brought are not delivered twice, and do not move the begin of the gap."""
    gaps = interrupted(trade(1, 101))
    gaps.add(trade(4, 104))
    gaps.interrupt()
    missing = gaps.missing("btcusdt", [answered(1, 101), answered(2, 102), answered(3, 103), answered(4, 104)], MOST)
    assert ids(missing.records) == ["2", "3"]
    assert missing.complete


def test_an_answer_that_begins_too_late_does_not_cover_the_gap() -> None:
    """The oldest answered trade is newer than the last one delivered."""
    missing = interrupted(trade(1, 101)).missing("btcusdt", [answered(3, 103)], MOST)
    assert ids(missing.records) == ["3"]
    assert not missing.complete


@pytest.mark.parametrize(("most", "complete"), [(2, False), (3, True)])
def test_without_a_trade_the_gap_begins_with_the_subscription(most: int, *, complete: bool) -> None:
    """All trades since then count; an answer with fewer trades than the venue could send has all of them."""
    gaps = interrupted()
    missing = gaps.missing("btcusdt", [answered(1, 100.5), answered(2, 101)], most)
    assert ids(missing.records) == ["1", "2"]
    assert missing.complete is complete
    older = gaps.missing("btcusdt", [answered(0, 99), answered(1, 101)], 2)
    assert (ids(older.records), older.complete) == (["1"], True)


def test_unreadable_rows_are_passed_on() -> None:
    """They go to the dead letters."""
    bad = Unreadable(b"x", "no trade")
    missing = interrupted(trade(1, 101)).missing("btcusdt", [bad, answered(1, 101), answered(2, 102)], MOST)
    assert list(missing.records) == [answered(2, 102), bad]


def test_a_closed_gap_is_not_asked_for_again() -> None:
    """A gap is open until it is closed or its asset is no longer wanted."""
    gaps = interrupted(trade(1, 101))
    gaps.begin("ethusdt", 100)
    gaps.interrupt()
    assert gaps.open == ["btcusdt", "ethusdt"]
    gaps.close("btcusdt")
    gaps.forget("ethusdt")
    assert gaps.open == []
    gaps.interrupt()
    assert gaps.open == ["btcusdt"]


def test_a_second_announcement_shows_a_gap() -> None:
    """A heartbeat may be ahead of its trade once; a closed gap is not opened again for the same number."""
    gaps = Gaps()
    gaps.begin("btcusdt", 100)
    gaps.announce("btcusdt", 9)  # no trade yet to compare with
    gaps.announce("nosuch", 9)
    gaps.add(trade(7, 101))
    gaps.announce("btcusdt", 7)
    gaps.announce("btcusdt", 8)
    gaps.add(trade(8, 102))
    gaps.announce("btcusdt", 8)
    gaps.announce("btcusdt", 9)
    assert gaps.open == []
    gaps.announce("btcusdt", 9)
    assert gaps.open == ["btcusdt"]
    gaps.close("btcusdt")
    for _ in range(3):
        gaps.announce("btcusdt", 9)
    assert gaps.open == []


def test_ids_are_bounded() -> None:
    """The oldest ids are forgotten."""
    gaps = interrupted(*(trade(number, 101) for number in range(MOST_IDS + 10)))
    missing = gaps.missing("btcusdt", [answered(number, 101) for number in range(20)], MOST)
    assert ids(missing.records) == [str(number) for number in range(10)]


@pytest.mark.parametrize(("again", "expected"), [(101.0000004, 101.0), (101.0004, 101.0), (102.5, 102.5)])
def test_a_trade_that_comes_again_keeps_its_time(again: float, expected: float) -> None:
    """The interfaces of a venue may round a time differently; an id that a venue uses anew later is another trade."""
    gaps = interrupted(trade(1, 101.0))
    assert gaps.first_time("btcusdt", "1", again) == expected
    assert gaps.first_time("btcusdt", "2", again) == again
    assert gaps.first_time("ethusdt", "1", again) == again


def test_a_time_that_is_rounded_down_is_in_the_gap() -> None:
    """A lost trade of the moment of the last delivered one counts although the other interface cuts its time."""
    gaps = interrupted(trade(1, 101.000001))
    missing = gaps.missing("btcusdt", [answered(1, 101.0), answered(2, 101.0)], MOST)
    assert ids(missing.records) == ["2"]


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_covered_gap_loses_nothing(steps: list[int], cut: int, joined: int) -> None:
    """Delivered before, filled, delivered after: together they are every trade once."""
    times = [101 + sum(steps[: index + 1]) / 10 for index in range(len(steps))]
    every = list(enumerate(times))
    cut, joined = sorted((min(cut, len(every)), min(joined, len(every))))
    gaps = interrupted(*(trade(*one) for one in every[:cut]))
    for one in every[joined:]:
        gaps.add(trade(*one))
    missing = gaps.missing("btcusdt", [answered(*one) for one in every], MOST)
    assert missing.complete
    assert ids(missing.records) == [str(number) for number, _ in every[cut:joined]]
