"""Topics on the fan-out: declarations, retention in events and bytes, conflation by key, and bounds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.live.fanout import Fanout
from aggregator.live.price_topic import PRICES
from aggregator.live.subscriber import BEHIND, EVERYTHING, MAX_QUEUE, Batch, Gap
from aggregator.live.topics import Bus, Retention, Topic
from aggregator.models import encode
from aggregator.observability.metrics import Metrics
from tests.parts.examples import CATALOG, price
from tests.parts.trades import TRADES, Trade, trade

ALL = {"trades": EVERYTHING}


def by_id(retention: Retention) -> Topic[Trade]:
    """Return a topic in which each trade has a key of its own."""
    return Topic(
        "trades", "trade", Trade, asset=lambda one: one.asset, key=lambda one: str(one.id), retention=retention
    )


def live(*topics: Topic[Trade], metrics: Metrics | None = None) -> tuple[Bus, Fanout]:
    """Return a bus with these topics and a fan-out that serves them."""
    bus = Bus(topics)
    fanout = Fanout(bus, CATALOG, metrics or Metrics(CollectorRegistry()), 10, 1000, current=True)
    fanout.serve_rest()
    return bus, fanout


def ids(batch: Batch) -> list[int]:
    """Return the ids of the trades of a batch."""
    return [msgspec.json.decode(event.body, type=Trade).id for event in batch.events]


@pytest.mark.parametrize(
    ("name", "event"),
    [("", "trade"), ("trades", "gap"), ("type", "trade"), ("Trades", "trade"), ("trades", "a b"), ("tra\nde", "trade")],
)
def test_names_that_streams_cannot_tell_apart(name: str, event: str) -> None:
    """A topic with the name of a field or of another event is refused."""
    with pytest.raises(ValueError, match="name and event"):
        Topic(name, event, Trade, asset=lambda one: one.asset)


@pytest.mark.parametrize("other", [("trades", "other"), ("others", "trade")])
def test_topics_of_a_bus_have_different_names(other: tuple[str, str]) -> None:
    """A bus refuses two topics of one name, or with one name of their events."""
    with pytest.raises(ValueError, match="twice"):
        Bus([TRADES, Topic(*other, Trade, asset=lambda one: one.asset)])


def test_a_topic_that_the_bus_lacks() -> None:
    """A value without a listed topic would be lost without a word."""
    with pytest.raises(KeyError):
        Bus([PRICES]).publish(TRADES, [trade(1)])


def test_values_travel_as_they_are() -> None:
    """Every digit arrives in another process, of the topic of tests and of prices."""
    trades = [trade(1), trade(2)]
    assert TRADES.decode(TRADES.encode(trades)) == trades
    assert PRICES.encode([price()]) == encode([price()])
    assert PRICES.decode(PRICES.encode([price()])) == [price()]


@given(
    most=st.integers(0, 5),
    size=st.integers(0, 400) | st.none(),
    numbers=st.lists(st.integers(10, 99), max_size=12),
    place=st.integers(0, 12),
)
def test_retention_in_events_and_bytes(most: int, size: int | None, numbers: list[int], place: int) -> None:
    """A stream can resume exactly if all events after its id are within both bounds."""
    topic = by_id(Retention(most, size))
    bus, fanout = live(topic)
    bus.publish(topic, [trade(number, "btcusdt") for number in numbers])
    replay, after = fanout._replays["trades"], min(place, len(numbers))
    held = replay.after(0)
    assert len(held) <= most
    assert size is None or sum(event.size for event in held) <= size
    assert ids(Batch(held)) == numbers[len(numbers) - len(held) :]
    assert replay.has_all_after(after) == (ids(Batch(replay.after(after))) == numbers[after:])


async def test_conflation_by_key() -> None:
    """A slow subscriber gets the newest event of each topic and key, in their order; topics may share a key."""
    metrics = Metrics(CollectorRegistry())
    others = Topic(
        "others", "other", Trade, asset=lambda one: one.asset, key=lambda one: ("btcusdt", "odd")[one.id % 2]
    )
    bus, fanout = live(TRADES, others, metrics=metrics)
    with fanout.new_subscriber("sse", topics=["trades", "others"]) as subscriber:
        fanout.follow(subscriber, ALL | {"others": EVERYTHING})
        for number in range(MAX_QUEUE):
            bus.publish(TRADES, [trade(number, "btcusdt")])
            bus.publish(others, [trade(number, "btcusdt")])
        bus.publish(TRADES, [trade(MAX_QUEUE, "btcusdt")])
        batch = subscriber.drain()
    assert [event.topic for event in batch.events] == ["others", "others", "trades"]
    assert ids(batch) == [MAX_QUEUE - 2, MAX_QUEUE - 1, MAX_QUEUE]
    assert metrics.registry.get_sample_value("price_stream_conflated_total") == 2 * MAX_QUEUE + 1 - 3


async def test_keys_without_bound() -> None:
    """Where no event replaces another, the queue of a slow subscriber is emptied: a gap, then a snapshot."""
    topic = by_id(Retention(10))
    bus, fanout = live(topic)
    with fanout.new_subscriber("sse", topics=["trades"]) as subscriber:
        fanout.follow(subscriber, ALL)
        for number in range(3 * MAX_QUEUE):
            bus.publish(topic, [trade(number, "btcusdt")])
            assert len(subscriber.waiting) <= MAX_QUEUE
        assert subscriber.drain() == Batch([], Gap(BEHIND.format("trades")), snapshot_due=True)
        fanout.follow(subscriber, ALL)
        bus.publish(topic, [trade(1, "btcusdt")])
        assert ids(subscriber.drain()) == [1]
