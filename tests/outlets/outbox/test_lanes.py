"""The order of sending: batches, lanes, retries."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.outlets.outbox.lanes import Lanes, Waiting
from aggregator.outlets.outbox.queue_file import Queued
from aggregator.stores.waiting_file import Row
from tests.parts.limits import examples


def row(number: int, asset: str, size: int = 2) -> Waiting:
    """Return a row; its number is its id."""
    body = msgspec.Raw(b'"' + b"x" * (size - 2) + b'"')
    return Row(number, Queued("out", "prices", asset, f"{asset} {number}", float(number), "hot", body))


@settings(max_examples=examples(100), deadline=None)
@given(
    assets=st.lists(st.sampled_from("abcde"), max_size=60),
    seed=st.integers(0, 1 << 16),
    most=st.integers(1, 7),
    is_atomic=st.booleans(),
)
def test_every_row_is_done_once_and_in_the_order_of_its_asset(
    assets: list[str], seed: int, most: int, *, is_atomic: bool
) -> None:
    """Whatever is taken together, and whatever of it has to be sent again."""
    choice = random.Random(seed)
    lanes = Lanes(most, 40, is_atomic=is_atomic)
    rows = [row(number, asset) for number, asset in enumerate(assets)]
    lanes.add(rows)
    under_way: list[list[Waiting]] = []
    done: list[Waiting] = []
    while len(lanes):
        batch = lanes.take()
        if batch:
            names = [one.record.asset for one in batch]
            assert len(batch) <= most
            assert not {one.record.asset for other in under_way for one in other} & set(names)
            assert is_atomic or len(set(names)) == len(names)
            under_way.append(batch)
        if under_way and (not batch or choice.random() < 0.6):
            settled = under_way.pop(choice.randrange(len(under_way)))
            again = settled if is_atomic and choice.random() < 0.3 else []
            if not is_atomic:
                again = [one for one in settled if choice.random() < 0.3]
            lanes.settle(settled, again)
            done += [one for one in settled if one not in again]
    assert sorted(one.id for one in done) == list(range(len(rows)))
    for asset in set(assets):
        ids = [one.id for one in done if one.record.asset == asset]
        assert ids == sorted(ids)


def test_a_batch_has_a_bound_of_bytes_but_takes_one_large_event() -> None:
    """An event that is larger than a batch may be goes alone."""
    lanes = Lanes(10, 100, is_atomic=True)
    lanes.add([row(1, "a", 60), row(2, "a", 60), row(3, "b", 500)])
    first = lanes.take()
    second = lanes.take()
    assert [one.id for one in first] == [1]
    assert [one.id for one in second] == [3]
    lanes.settle(first, ())
    assert [one.id for one in lanes.take()] == [2]


def test_a_row_that_was_done_while_the_file_was_read_is_not_added_again() -> None:
    """The file may still have had it when the read began."""
    lanes = Lanes(10, 100, is_atomic=True)
    lanes.add([row(1, "a")])
    batch = lanes.take()
    lanes.begin_read()
    lanes.settle(batch, ())
    lanes.add([row(1, "a")])
    assert not lanes.take()


@pytest.mark.parametrize("is_atomic", [True, False])
def test_cleared_rows_are_not_sent(*, is_atomic: bool) -> None:
    """Those under way are settled as usual."""
    lanes = Lanes(1, 100, is_atomic=is_atomic)
    lanes.add([row(1, "a"), row(2, "a"), row(3, "b")])
    batch = lanes.take()
    lanes.clear()
    assert not lanes.take()
    lanes.settle(batch, batch)
    assert [one.id for one in lanes.take()] == [1]


def test_a_refused_batch_is_halved_until_the_row_that_is_the_reason_is_alone() -> None:
    """The other rows are done with it in a few batches; afterwards batches are full again."""
    lanes = Lanes(16, 1000, is_atomic=True)
    lanes.add([row(number, f"asset{number % 5}") for number in range(16)])
    sizes: list[int] = []
    while len(lanes):
        batch = lanes.take()
        sizes.append(len(batch))
        if len(batch) > 1 and 9 in [one.id for one in batch]:
            lanes.halve(batch)
            lanes.settle(batch, batch)
        else:
            lanes.settle(batch, ())
    assert sizes[0] == 16
    assert 1 in sizes
    assert len(sizes) <= 10
    lanes.add([row(number, "asset") for number in range(100, 116)])
    assert len(lanes.take()) == 16
