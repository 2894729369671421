"""Observations added in batches: the histogram is the one that `observe` makes."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from aggregator.observability.metrics import buckets
from aggregator.observability.metrics.durations import Durations

SECONDS = st.one_of(st.floats(0, 10), st.sampled_from(buckets.REQUEST))  # the bounds themselves included


def samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Return the histogram's samples by name and upper bound, without the time at which it was made."""
    found = [one for family in registry.collect() for one in family.samples if not one.name.endswith("_created")]
    return {(one.name, one.labels.get("le", "")): round(one.value, 6) for one in found}


@given(st.lists(st.lists(SECONDS, max_size=20), max_size=4))
def test_batches_give_the_same_histogram(batches: list[list[float]]) -> None:
    """Buckets, count and sum, after any number of flushes, empty ones included."""
    one_by_one, batched = CollectorRegistry(), CollectorRegistry()
    expected = Histogram("seconds", "As observed.", ["path"], buckets=buckets.REQUEST, registry=one_by_one).labels("/x")
    actual = Histogram("seconds", "As added.", ["path"], buckets=buckets.REQUEST, registry=batched).labels("/x")
    durations = Durations(actual)
    for batch in batches:
        for seconds in batch:
            expected.observe(seconds)
            durations.add(seconds)
        durations.flush()
    assert samples(batched) == samples(one_by_one)
