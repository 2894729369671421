"""The steady clock when the wall clock steps; on examples and as properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.clock import REPORT_SECONDS, STEP, SteadyClock
from aggregator.runtime.monitors import ClockWitness
from tests.parts.examples import price

HOUR = 3600.0
STEPS = st.one_of(st.floats(2 * STEP, 10 * HOUR), st.floats(-10 * HOUR, -2 * STEP))


class Machine:
    """A wall clock and a monotonic clock that the test moves, and the steady clock on them."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_760_000_000.0, 1000.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.monotonic)

    def go(self, seconds: float, step: float = 0.0) -> None:
        """Advance both clocks, and step the wall clock."""
        self.monotonic += seconds
        self.wall += seconds + step


@pytest.fixture
def machine() -> Machine:
    """Return a machine whose wall clock has not stepped."""
    return Machine()


def test_a_clock_that_does_not_step_is_the_wall_clock(machine: Machine) -> None:
    """Slewing by NTP is followed, however much it adds up to."""
    for _ in range(100):
        machine.go(10, step=0.005)
        assert machine.clock.now() == machine.wall
    assert machine.clock.trouble == ""
    assert not machine.clock.is_off


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_outside_times_contradict_the_step(machine: Machine, step: float) -> None:
    """A contradicted step is not followed and is reported, until the wall clock is right again."""
    right = machine.wall
    machine.go(0, step)
    assert machine.clock.is_off
    assert machine.clock.now() == max(right, machine.wall)  # undecided: prices look old rather than fresh
    assert f"stepped by {step:+.0f} s" in machine.clock.trouble
    machine.go(1)
    machine.clock.witness([right, right + 1, right - 30])
    machine.go(1)
    assert machine.clock.now() == pytest.approx(right + 2)
    assert "disagree" in machine.clock.trouble
    machine.go(1, -step)
    assert machine.clock.now() == machine.wall
    assert machine.clock.trouble == ""


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_outside_times_confirm_the_step(machine: Machine, step: float) -> None:
    """A confirmed step is followed, and reported for ten minutes."""
    machine.go(0, step)
    machine.clock.witness([machine.wall - 1, machine.wall, machine.wall - HOUR / 2])
    assert machine.clock.now() == machine.wall
    assert not machine.clock.is_off
    assert f"stepped by {step:+.0f} s" in machine.clock.trouble
    machine.go(REPORT_SECONDS + 1)
    assert machine.clock.trouble == ""


def test_a_step_and_its_reverse_are_no_trouble(machine: Machine) -> None:
    """A confirmed step and its confirmed reverse add up to no trouble."""
    for step in (HOUR, -HOUR):
        machine.go(1, step)
        machine.clock.witness([machine.wall])
    assert machine.clock.trouble == ""
    assert machine.clock.now() == machine.wall


def test_the_majority_is_believed(machine: Machine) -> None:
    """One time of three cannot confirm a step; one of two leaves it undecided."""
    right = machine.wall
    machine.go(1, HOUR)
    machine.clock.witness([right, machine.wall])
    assert machine.clock.now() == machine.wall  # undecided: the later
    machine.clock.witness([right, right, machine.wall])
    assert machine.clock.now() == pytest.approx(right + 1)


def test_times_that_decide_nothing(machine: Machine) -> None:
    """No times, NaN, or times far from both clocks decide nothing."""
    machine.go(1, HOUR)
    machine.clock.witness([])
    machine.clock.witness([math.nan, math.inf, -math.inf, 0.0, machine.wall + HOUR])
    assert "until the exchanges" in machine.clock.trouble


def test_another_step_is_looked_at_anew(machine: Machine) -> None:
    """The decision on one step does not hold for the next."""
    right = machine.wall
    machine.go(1, HOUR)
    machine.clock.witness([right])
    machine.go(1, HOUR)
    assert machine.clock.now() == machine.wall
    machine.clock.witness([machine.wall])
    assert machine.clock.now() == machine.wall
    assert not machine.clock.is_off


def test_a_period_that_is_repeated(machine: Machine) -> None:
    """`repeats` is true after a confirmed step back, until the time before it is reached; not after other steps."""
    machine.go(1, HOUR)
    machine.clock.witness([machine.wall])
    assert not machine.clock.repeats
    machine.go(1, -HOUR)
    assert not machine.clock.repeats
    machine.clock.witness([machine.wall])
    assert machine.clock.repeats
    machine.go(HOUR - 1)
    assert machine.clock.repeats
    machine.go(3)
    assert not machine.clock.repeats


def test_prices_of_other_processes_are_outside_times(machine: Machine) -> None:
    """In an API process, which calls no exchange, published prices are the outside times."""
    witness, right = ClockWitness(machine.clock), machine.wall
    witness.receive([price(timestamp=right - HOUR)])  # no step, nothing to decide
    machine.go(1, -HOUR)
    witness.receive([price(timestamp=right)])
    assert machine.clock.now() == pytest.approx(right + 1)
    assert "disagree" in machine.clock.trouble


@given(step=STEPS, waited=st.floats(0, 1000), ages=st.lists(st.floats(0, 50), min_size=1))
def test_no_price_gets_younger_by_a_step(step: float, waited: float, ages: list[float]) -> None:
    """With correct outside times or none, `now` advances at least as much as the monotonic clock."""
    machine = Machine()
    began = machine.clock.now()
    machine.go(waited, step)
    assert machine.clock.now() - began >= waited - 1e-3
    true = machine.wall - step
    machine.clock.witness([true - age for age in ages if age < abs(step) / 2] or [true])
    assert machine.clock.now() - began == pytest.approx(waited, abs=1e-3)


@given(step=STEPS, age=st.floats(0, 50))
def test_one_honest_time_is_enough(step: float, age: float) -> None:
    """After one correct outside time, `now` is the clock that it agrees with."""
    machine = Machine()
    age = min(age, abs(step) / 2.5)
    machine.go(5, step)
    machine.clock.witness([machine.wall - age])
    assert machine.clock.now() == machine.wall
