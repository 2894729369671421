"""The circuit breaker of an exchange, with a clock that tests set: no test waits."""

import pytest

from aggregator.errors import ExchangeError
from aggregator.exchanges.guarded_exchange import BREAKER_RULES
from aggregator.resilience.circuit_breaker import CircuitBreaker
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
def breaker(clock: Clock, changes: list[str]) -> CircuitBreaker[ExchangeError]:
    """Return an exchange's breaker: five failures, thirty seconds, two probes."""
    return CircuitBreaker(BREAKER_RULES, clock, lambda state, _: changes.append(state))
