"""The kept events of one topic: which are held, and the newest of each key among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.live.price_topic import PRICES
from aggregator.live.replay import Replay
from aggregator.live.subscriber import EVERYTHING, Event, Subscription
from aggregator.models import Asset, Tier

ASSETS = [Asset(name, "", "", tier, 1) for name, tier in (("a", Tier.HOT), ("b", Tier.HOT), ("c", Tier.COLD))]
steps = st.lists(st.one_of(st.sampled_from(ASSETS), st.sampled_from(["read", "clear"])), max_size=60)


def event(number: int, asset: Asset) -> Event:
    """Return an event of 100 bytes and more."""
    return Event("0" * 8, number, PRICES, asset, asset.symbol, b"{}")


@given(steps, st.integers(1, 8), st.one_of(st.none(), st.integers(100, 800)))
def test_the_newest_of_each_key_is_one_that_is_held(
    script: list[Asset | str], most_events: int, most_bytes: int | None
) -> None:
    """However often it is read between, and whatever is dropped."""
    replay = Replay(most_events, most_bytes)
    held: list[Event] = []
    for number, step in enumerate(script, 1):
        if isinstance(step, Asset):
            held.append(event(number, step))
            replay.add(held[-1:])
        elif step == "clear":
            replay.clear()
            held = []
        held = held[-most_events:]
        while most_bytes is not None and sum(one.size for one in held) > most_bytes:
            held = held[1:]
        if step == "read":
            compare(replay, held)
    compare(replay, held)


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(0, 8), st.one_of(st.none(), st.integers(100, 800)))
def test_batches_are_held_as_single_events_are(sizes: list[int], most_events: int, most_bytes: int | None) -> None:
    """Whatever their size, made or not: the same events, and the same answer to which numbers are complete."""
    whole, single, unmade = (Replay(most_events, most_bytes) for _ in range(3))
    number = 0
    for turn, size in enumerate(sizes):
        batch = [event(number + place, ASSETS[place % len(ASSETS)]) for place in range(1, size + 1)]
        number += size
        whole.add(batch)
        for one in batch:
            single.add([one])
        if unmade.takes_unmade and batch:
            unmade.add_unmade(size, number, batch.copy)
        else:
            unmade.add(batch)
        if turn % 3 == 1:
            continue  # so that several batches are not made yet
        for other in (whole, unmade):
            assert list(other.after(0)) == list(single.after(0))
            complete = [other.has_all_after(one) for one in range(number + 1)]
            assert complete == [single.has_all_after(one) for one in range(number + 1)]


def compare(replay: Replay, held: list[Event]) -> None:
    """Check what is held, and the newest of each key."""
    assert list(replay.after(0)) == held
    for wanted in (EVERYTHING, Subscription(tiers=frozenset({Tier.COLD})), Subscription(frozenset({"a"}))):
        newest = {one.asset: one for one in held if wanted.has(one)}
        assert list(replay.newest(wanted)) == sorted(newest.values(), key=lambda one: one.number)


def test_an_event_is_encoded_when_it_is_first_needed() -> None:
    """And once: all subscribers get the same bytes."""
    one = Event("0" * 8, 7, PRICES, ASSETS[0], "a", None, {"asset": "a"})
    assert one.json is None
    assert one.sse == b'id: 00000000-7\nevent: price\ndata: {"asset":"a"}\n\n'
    assert one.message == '{"type":"price","price":{"asset":"a"}}'
    assert (one.sse is one.sse, one.message is one.message, one.body) == (True, True, b'{"asset":"a"}')
    never = Event("0" * 8, 8, PRICES, ASSETS[0], "a", None, object())
    Replay(10, None).add([never])
    with pytest.raises(TypeError):
        never.sse  # noqa: B018  # the encoding of a value without JSON fails only now
