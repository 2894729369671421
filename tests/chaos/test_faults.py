"""The order of faults depends on the seed only, and contains every fault."""

import random
from itertools import islice

from tests.chaos.faults import plan

KINDS = 7
LASTS, RESTS = (1.0, 2.0), (0.1, 0.5)


def test_a_seed_plays_the_same_again() -> None:
    """The same seed gives the same plan, another seed another one."""
    first, again, other = (list(islice(plan(random.Random(seed), KINDS, LASTS, RESTS), 20)) for seed in (1, 1, 2))
    assert first == again != other


def test_every_fault_comes_before_any_comes_again() -> None:
    """Every kind of fault comes once before any comes again, with durations and rests within their ranges."""
    steps = list(islice(plan(random.Random(3), KINDS, LASTS, RESTS), 2 * KINDS))
    for some in (steps[:KINDS], steps[KINDS:]):
        assert {step.kind for step in some} == set(range(KINDS))
    assert all(LASTS[0] <= step.seconds <= LASTS[1] and RESTS[0] <= step.rest <= RESTS[1] for step in steps)
