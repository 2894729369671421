"""The symbols file and the schedule."""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Tier
from aggregator.prices.schedule import Schedule, batches
from aggregator.prices.tiers import SymbolsError, assign, is_symbol, read_symbols
from tests.parts.examples import CADENCE
from tests.parts.process import ROOT


def places(schedule: Schedule, now: float) -> list[int]:
    """Pop the due slots; return their places."""
    return [turn.place for turn in schedule.pop_due(now)]


def test_our_own_file_has_a_thousand_distinct_pairs() -> None:
    """symbols.csv starts with Bitcoin; each symbol is base + quote in lower case."""
    rows = read_symbols((ROOT / "symbols.csv").read_text(encoding="utf-8"))
    assert len(rows) == len(set(rows)) == 1000
    assert rows[0] == ("btcusdt", "btc", "usdt")
    assert all(symbol == base + quote for symbol, base, quote in rows)


def test_a_file_with_only_symbols_works() -> None:
    """Without the columns, base and quote are empty."""
    assert read_symbols("symbol\nbtcusdt\nethusdt\n") == [("btcusdt", "", ""), ("ethusdt", "", "")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the header"),
        ("btcusdt,btc,usdt\n", "line 1: the header"),
        ("symbol,base\n", "line 1: the header"),
        ("symbol\n", "line 2: there is no symbol"),
        ("symbol\nbtcusdt\n\nethusdt\n", "line 3: blank"),
        ("symbol\nbtcusdt\nethusdt\nbtcusdt\n", "line 4: btcusdt is already on line 2"),
        ("symbol\nBTCUSDT\n", "line 2: 'BTCUSDT' is not"),
        ("symbol\nbtc usdt\n", "line 2: 'btc usdt' is not"),
        ("symbol\nbtc/usdt\n", "line 2: 'btc/usdt' is not"),
        ("symbol\n\u0432tcusdt\n", "line 2: '\u0432tcusdt' is not"),  # a Cyrillic look-alike
        ("symbol\nbtc\x00usdt\n", "line 2"),
        (f"symbol\n{'a' * 33}\n", "line 2"),
        ("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth\n", "line 3: 2 columns instead of 3"),
        ("symbol,base,quote\nbtcusdt,,usdt\n", "line 2: '' is not"),
        ('symbol\n"btcusdt\n', "line 2"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str, told: str) -> None:
    """A blank, duplicate or malformed line is named with its number and the reason."""
    with pytest.raises(SymbolsError, match="line") as refusal:
        read_symbols(text)
    assert told in str(refusal.value)


def test_every_bad_line_is_named_at_once() -> None:
    """One start reports every mistake, so that one edit fixes them; only the first 20 are listed."""
    with pytest.raises(SymbolsError) as refusal:
        read_symbols("symbol\nA\nbtcusdt\nB\n")
    assert "line 2" in str(refusal.value)
    assert "line 4" in str(refusal.value)
    with pytest.raises(SymbolsError, match="and 980 more"):
        read_symbols("symbol\n" + "A\n" * 1000)


@given(st.text(max_size=40))
def test_whatever_is_in_the_file_the_answer_is_rows_or_a_refusal(text: str) -> None:
    """Any text gives valid rows or a SymbolsError, no other exception."""
    try:
        rows = read_symbols("symbol\n" + text)
    except SymbolsError:
        return
    assert all(is_symbol(symbol) for symbol, _, _ in rows)


def test_tiers_go_by_rank() -> None:
    """The first 20 are hot, the next 180 medium, the rest cold, each in the order of the file."""
    rows = [(f"s{number}", "", "") for number in range(1000)]
    catalog = assign(rows, 20, 180, CADENCE)
    assert [len(catalog.of(tier)) for tier in Tier] == [20, 180, 800]
    assert [asset.rank for asset in catalog.of(Tier.MEDIUM)] == list(range(21, 201))
    assert catalog.find("s0") is not None
    assert catalog.find("nope") is None


def test_a_short_file_is_all_hot() -> None:
    """Tier sizes are upper bounds."""
    catalog = assign([("btcusdt", "", "")], 20, 180, CADENCE)
    assert [len(catalog.of(tier)) for tier in Tier] == [1, 0, 0]


def test_a_price_outlives_its_interval_in_the_cache() -> None:
    """The TTLs are 10, 60 and 600 s: longer than the interval, so that a price does not expire before its refresh."""
    assert [CADENCE[tier].ttl for tier in Tier] == [10, 60, 600]
    assert [CADENCE[tier].stale_after for tier in Tier] == [7.5, 45, 450]


counts = st.integers(1, 50)
intervals = st.floats(0.5, 600)
starts = st.floats(0, 1e9)


@given(counts, intervals, starts, st.lists(st.floats(0, 0.9), min_size=1, max_size=60))
def test_everything_is_due_exactly_once_per_interval(
    count: int, interval: float, start: float, steps: list[float]
) -> None:
    """Polled at any pace below an interval, each place is due exactly once per interval."""
    schedule, now, taken = Schedule(count, interval, start), start, Counter[int]()
    for step in steps:
        now += step * interval
        taken.update(places(schedule, now))
    assert schedule.pop_missed() == 0
    for thing in range(count):
        first = start + thing * interval / count
        expected = math.floor((now - first) / interval) + 1 if now >= first else 0
        # a due time within rounding of `now` may be taken now or next time
        slack = abs((now - first) / interval - round((now - first) / interval)) < 1e-6
        assert taken[thing] == expected or (slack and abs(taken[thing] - expected) == 1)


@given(counts, intervals)
def test_offsets_are_spread_over_the_interval(count: int, interval: float) -> None:
    """Due times are at least interval / count apart: no burst at the start of an interval."""
    schedule = Schedule(count, interval, 0)
    dues = []
    for _ in range(count + 1):
        dues.append(schedule.next_due)
        schedule.pop_due(schedule.next_due)
    gaps = [later - sooner for sooner, later in pairwise(dues)]
    assert all(gap == pytest.approx(interval / count, rel=1e-9) for gap in gaps)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 7), st.floats(0.1, 600), st.floats(0, 2e9))
def test_nothing_drifts_over_ten_thousand_cycles(count: int, interval: float, start: float) -> None:
    """After 10,000 cycles the due time equals exact arithmetic, and no slot was skipped."""
    schedule, taken = Schedule(count, interval, start), 0
    late = interval * 0.3
    while taken < 10_000 * count:
        taken += len(schedule.pop_due(schedule.next_due + late))
    exact = Fraction(start) + Fraction(interval) * Fraction(taken, count)
    assert abs(schedule.next_due - float(exact)) < 1e-6
    assert schedule.pop_missed() == 0


def test_who_comes_back_late_finds_each_once_and_the_rest_counted() -> None:
    """After 3.5 intervals without a poll, each place is due once, oldest first; the other slots are missed."""
    schedule = Schedule(4, 8, 0)
    assert places(schedule, 0) == [0]
    assert places(schedule, 8 * 3.5) == [3, 0, 1, 2]
    assert schedule.pop_missed() == 14 - 4
    assert schedule.pop_missed() == 0
    assert places(schedule, 8 * 3.5) == []
    assert schedule.next_due == 30


def test_a_clock_that_goes_back_repeats_nothing() -> None:
    """A clock that goes back makes no slot due again."""
    schedule = Schedule(2, 10, 100)
    assert places(schedule, 105) == [0, 1]
    assert places(schedule, 100) == []
    assert places(schedule, 50) == []
    assert schedule.next_due == 110


@pytest.mark.parametrize(("count", "interval"), [(0, 5), (-1, 5), (3, 0), (3, -1)])
def test_nothing_to_do_or_no_interval_is_a_mistake(count: int, interval: float) -> None:
    """A schedule without places or interval raises ValueError."""
    with pytest.raises(ValueError, match="schedule"):
        Schedule(count, interval, 0)


@given(st.integers(1, 3000), st.floats(0.1, 1000), st.integers(1, 100))
def test_batches_hold_what_is_due_within_a_second(count: int, interval: float, most: int) -> None:
    """Batches have every symbol once and in order, at most `most` each, and what is due within about a second."""
    cut = batches([f"s{number}" for number in range(count)], interval, most)
    assert [symbol for batch in cut for symbol in batch] == [f"s{number}" for number in range(count)]
    assert max(map(len, cut)) <= most
    assert max(map(len, cut)) <= max(1, 1.5 * count / interval)


def test_each_turn_knows_when_it_is_due() -> None:
    """The due times of jobs are spread over the interval, by the schedule's clock."""
    schedule = Schedule(4, 8, 100)
    assert [(turn.place, turn.due) for turn in schedule.pop_due(103)] == [(0, 100), (1, 102)]
