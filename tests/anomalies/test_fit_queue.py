"""The queue of fits: who is next, and how much CPU time they take."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.anomalies.fit_queue import FIRST, LEAST_SECONDS, REFIT, FitQueue


def test_when_an_asset_is_to_be_fitted() -> None:
    """First with a thousand samples, then with each five hundred new ones, and it waits once only."""
    queue = FitQueue(1.0)
    queue.offer(1, FIRST - 1, FIRST - 1, has_model=False)
    queue.offer(2, FIRST, REFIT - 1, has_model=True)
    assert queue.pause(0.0) is None
    assert queue.take(0.0) is None
    for _ in range(3):
        queue.offer(1, FIRST, FIRST, has_model=False)
        queue.offer(2, FIRST, REFIT, has_model=True)
    assert len(queue) == 2
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == [1, 2, None]


def test_assets_without_a_model_come_first() -> None:
    """Then those with one, in the order of their coming, each at most once a minute."""
    queue = FitQueue(1.0)
    for asset in (1, 2, 3):
        queue.offer(asset, FIRST, REFIT, has_model=True)
    queue.offer(4, FIRST, REFIT, has_model=False)
    order = []
    for _ in range(4):
        taken = queue.take(100.0)
        assert taken is not None
        order.append(taken)
        queue.done(taken, 100.0, 0.0)
    assert order == [4, 1, 2, 3]
    queue.offer(2, FIRST, REFIT, has_model=True)
    assert queue.take(100.0 + LEAST_SECONDS - 1) is None
    assert queue.pause(100.0 + LEAST_SECONDS - 1) == 1.0
    assert queue.take(100.0 + LEAST_SECONDS) == 2


def test_an_asset_that_is_forgotten_waits_no_more() -> None:
    """Whether it had a model or not."""
    queue = FitQueue(1.0)
    queue.offer(1, FIRST, FIRST, has_model=False)
    queue.offer(2, FIRST, REFIT, has_model=True)
    queue.forget(1)
    queue.forget(2)
    queue.forget(3)
    assert queue.pause(0.0) is None


@given(
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=50),
    st.floats(0.01, 1.0),
)
def test_fits_stay_within_the_budget(costs: list[float], budget: float) -> None:
    """At the begin of each fit, all fits before have taken at most their share of the time."""
    queue, now, spent = FitQueue(budget), 0.0, 0.0
    for asset in range(len(costs)):
        queue.offer(asset, FIRST, FIRST, has_model=False)
    for asset, cost in enumerate(costs):
        pause = queue.pause(now)
        assert pause is not None
        now += pause + 1e-9
        assert spent <= budget * now + 1e-6
        assert queue.take(now) == asset
        queue.done(asset, now, cost)
        spent += cost
        now += cost
