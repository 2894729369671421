"""Pauses between attempts: how they grow, and that clients do not pause for the same time."""

import math

import pytest

from aggregator.resilience.backoff import Backoff


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds of every sleep; none is slept."""
    seconds: list[float] = []

    async def sleep(one: float) -> None:
        seconds.append(one)

    monkeypatch.setattr("aggregator.resilience.backoff.asyncio.sleep", sleep)
    return seconds


async def test_pauses_grow_and_differ(slept: list[float]) -> None:
    """Each pause may be twice as long as the one before, up to the longest; jitter picks its length."""
    bounds: list[float] = []
    backoff = Backoff(30)
    for _ in range(12):
        bounds.append(backoff.seconds)
        await backoff.pause()
    assert all(0 <= one <= bound for one, bound in zip(slept, bounds, strict=True))
    assert bounds[:3] == [0.05, 0.1, 0.2]
    assert bounds[-1] == 30
    assert len(set(slept)) == 12
    assert not math.isclose(slept[-1], slept[-2])


async def test_pauses_without_jitter(slept: list[float]) -> None:
    """They start at the first, and are slept whole."""
    backoff = Backoff(10, first=2, jitter=False)
    for _ in range(4):
        await backoff.pause()
    assert slept == [2, 4, 8, 10]


def test_no_pause_is_longer_than_the_longest() -> None:
    """Not even the first."""
    assert Backoff(1, first=3).seconds == 1
