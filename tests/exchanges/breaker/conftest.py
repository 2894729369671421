"""The guard as it is by itself, with a clock that goes when told: nothing here waits."""

import pytest

from aggregator.exchanges.breaker import CircuitBreaker
from tests.parts.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def changes() -> list[str]:
    """Return a list that hears of every change of state."""
    return []


@pytest.fixture
def guard(clock: Clock, changes: list[str]) -> CircuitBreaker:
    """Return a guard as it is by itself: five failures, thirty seconds, two probes."""
    return CircuitBreaker(clock, lambda state, _: changes.append(state))
