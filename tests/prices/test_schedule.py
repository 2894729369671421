"""The schedule: every place is due once per interval, without drift and without bursts."""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.prices.schedule import Schedule, batches
from tests.parts.limits import examples


def places(schedule: Schedule, now: float) -> list[int]:
    """Pop the due slots; return their places."""
    return [slot.place for slot in schedule.pop_due(now)]


counts = st.integers(1, 50)
intervals = st.floats(0.5, 600)
starts = st.floats(0, 1e9)


@given(counts, intervals, starts, st.lists(st.floats(0, 0.9), min_size=1, max_size=60))
def test_each_place_is_due_exactly_once_per_interval(
    count: int, interval: float, start: float, steps: list[float]
) -> None:
    """Polled at any pace below an interval, each place is due exactly once per interval."""
    schedule, now, popped = Schedule(count, interval, start), start, Counter[int]()
    for step in steps:
        now += step * interval
        popped.update(places(schedule, now))
    assert schedule.pop_missed() == 0
    for place in range(count):
        first = start + place * interval / count
        expected = math.floor((now - first) / interval) + 1 if now >= first else 0
        # a due time within rounding of `now` may be popped now or next time
        slack = abs((now - first) / interval - round((now - first) / interval)) < 1e-6
        assert popped[place] == expected or (slack and abs(popped[place] - expected) == 1)


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


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(1, 7), st.floats(0.1, 600), st.floats(0, 2e9))
def test_nothing_drifts_over_ten_thousand_cycles(count: int, interval: float, start: float) -> None:
    """After 10,000 cycles the due time equals exact arithmetic, and no slot was skipped."""
    schedule, popped = Schedule(count, interval, start), 0
    late = interval * 0.3
    while popped < 10_000 * count:
        popped += len(schedule.pop_due(schedule.next_due + late))
    exact = Fraction(start) + Fraction(interval) * Fraction(popped, count)
    assert abs(schedule.next_due - float(exact)) < 1e-6
    assert schedule.pop_missed() == 0


def test_after_a_long_delay_each_place_is_due_once() -> None:
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
def test_a_schedule_needs_places_and_an_interval(count: int, interval: float) -> None:
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


def test_each_slot_has_its_due_time() -> None:
    """The due times of jobs are spread over the interval, by the schedule's clock."""
    schedule = Schedule(4, 8, 100)
    assert [(slot.place, slot.due) for slot in schedule.pop_due(103)] == [(0, 100), (1, 102)]
