"""Takeovers of a partition: windows are built from records read again and from the store, and nothing is emitted."""

import random
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import pytest
from msgspec.structs import replace

from aggregator.models import Trade
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.saved_windows import RedisWindows
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.kafka.consumer import MOST_CONSUMED
from aggregator.trades.event_log.window_start import parse_metadata
from tests.parts.kafka import Broker
from tests.parts.processing import as_json, trade
from tests.trades.event_log.kafka_processing import KafkaProcessing, processing
from tests.trades.test_features import START, assert_same, naive

pytestmark = pytest.mark.real
ENDLESS = 1e12  # seconds of retention
HOT = ("asset1", "asset2", "asset3")
COLD = "asset9"  # a trade in 200 seconds
RARE = "asset8"  # trades at the beginning and at the end
SECONDS = 2000


def history() -> list[Trade]:
    """Return trades of 2,000 seconds in the order of a log: somewhat out of order, some too late for windows."""
    moments, found = random.Random(3), []
    for number in range(12_000):
        at = SECONDS * number / 12_000
        asset = moments.choice(HOT)
        if number % 1200 == 7:
            asset = COLD
        elif number < 40 or number > 11_990:
            asset = RARE
        at -= moments.uniform(0, 4) + (30 if number % 101 == 0 else 0)
        price = Decimal(moments.randint(9000, 11_000)) / 100
        found.append(trade(number, asset, round(START + 100 + at, 6), price, moments.randint(1, 50)))
    return found


def assert_measured(running: KafkaProcessing, sent: list[Trade], marked: dict[str, Trade]) -> None:
    """Assert that the features of every asset equal a naive recomputation."""
    for asset in (*HOT, COLD, RARE):
        found = running.processor.features(asset)
        assert found is not None
        assert_same(found, naive([one for one in sent if one.asset == asset and not marked[one.id].late]))


@pytest.mark.parametrize("shared", [True, False])
async def test_windows_after_takeovers(kafka_running: Broker, *, shared: bool) -> None:
    """After each of ten takeovers at any offset, features equal a recomputation from all trades, however rare they are.

    With a store of its own, a process has what the log has of rare assets; the others are exact all the same.
    """
    topic, sent, now = kafka_running.topic(1), history(), lambda: START + SECONDS + 200
    store = MemoryTrades(ENDLESS, now)
    marked: dict[str, Trade] = {}
    for place in range(0, len(sent), 1200):
        some = sent[place : place + 1200]
        kafka_running.produce(topic, map(as_json, some))
        own = store if shared else MemoryTrades(ENDLESS, now)
        async with processing(kafka_running.url(topic), own, now) as running:
            await running.has_published(len(some))
            await running.until(lambda running=running: running.log.backlog.trades == 0)  # type: ignore[misc]
            marked |= {one.id: one for one in running.trades}
            assert [one.id for one in running.trades] == [one.id for one in some]
            until = sent[: place + 1200]
            if shared and {one.asset for one in some} >= {*HOT, COLD, RARE}:
                assert_measured(running, until, marked)
            for asset in HOT:
                found = running.processor.features(asset)
                assert found is not None
                assert_same(found, naive([one for one in until if one.asset == asset and not marked[one.id].late]))
    (_, metadata) = kafka_running.committed(topic)[0]
    start = parse_metadata(metadata)
    assert start is not None
    in_windows = [number for number, one in enumerate(sent) if one.timestamp > START + 100 + SECONDS - 300 - 4]
    assert in_windows[0] - MOST_CONSUMED - 100 < start.offset <= in_windows[0]


async def test_features_are_there_before_the_next_trade(kafka_running: Broker) -> None:
    """After a takeover without new trades, features and last trades are those from before, and nothing is published."""
    topic, sent, now = kafka_running.topic(2), history()[:3000], lambda: START + SECONDS + 200
    kafka_running.produce(topic, map(as_json, sent))
    async with processing(kafka_running.url(topic), MemoryTrades(ENDLESS, now), now) as first:
        await first.has_published(len(sent))
        await first.until(lambda: first.log.backlog.trades == 0)
    async with processing(kafka_running.url(topic), MemoryTrades(ENDLESS, now), now) as second:
        await second.until(lambda: all(second.processor.features(asset) for asset in HOT))
        for asset in HOT:
            found, before = second.processor.features(asset), first.processor.features(asset)
            assert found is not None
            assert before is not None
            assert found.vwap_5min == pytest.approx(before.vwap_5min, rel=1e-12)
            assert second.processor.quote(asset) == first.processor.quote(asset)
        assert second.trades == []
        assert second.published == []


async def test_a_stored_batch_is_published_by_the_next_owner(kafka_running: Broker) -> None:
    """Trades that an owner has stored, and no more, are published as they were stored, however old the first are."""
    topic, now = kafka_running.topic(1), lambda: START + SECONDS + 200
    stored = [replace(one, late=number % 101 == 0) for number, one in enumerate(history()[1000:2000], 1000)]
    store = MemoryTrades(ENDLESS, now)
    await store.add(stored)
    kafka_running.produce(topic, map(as_json, stored))
    async with processing(kafka_running.url(topic), store, now) as running:
        await running.has_published(len(stored))
        await running.until(lambda: running.log.backlog.trades == 0)
        assert running.trades == stored
        newest = {one.asset: one for one in running.published}
        for asset in {one.asset for one in stored}:
            assert_same(newest[asset], naive([one for one in stored if one.asset == asset and not one.late]))


async def test_windows_after_a_commit_of_other_software(kafka_running: Broker) -> None:
    """Where no commit tells where windows begin, no later owner takes those of the first records for complete."""
    topic, sent, now = kafka_running.topic(1), history()[:4000], lambda: START + SECONDS + 200
    marked = [replace(one, late=number % 101 == 0) for number, one in enumerate(sent)]
    store = MemoryTrades(ENDLESS, now)
    await store.add(marked[:3000])
    kafka_running.produce(topic, map(as_json, sent[:3900]))
    kafka_running.commit(topic, 0, 3000)
    async with processing(kafka_running.url(topic), store, now) as first:
        await first.has_published(900)
        await first.until(lambda: first.log.backlog.trades == 0)
    kafka_running.produce(topic, map(as_json, sent[3900:]))
    async with processing(kafka_running.url(topic), store, now) as second:
        await second.has_published(100)
        for asset in HOT:
            found = second.processor.features(asset)
            assert found is not None
            assert_same(found, naive([one for one in marked if one.asset == asset and not one.late]))


class Watched(RedisWindows):
    """Saved windows in Redis, with the offsets at which they were saved and loaded."""

    def __init__(self, client: RedisClient) -> None:
        super().__init__(client, "topic:group")
        self.saved: list[int] = []
        self.loaded: list[int] = []

    async def save(self, partition: int, offset: int, body: bytes, before: int) -> None:
        """Save, and note the offset."""
        await super().save(partition, offset, body, before)
        self.saved.append(offset)

    def has_more_than(self, number: int) -> bool:
        """Whether windows were saved more often than this."""
        return len(self.saved) > number

    async def load(self, partition: int, offset: int) -> bytes | None:
        """Load, and note the offset if something is there."""
        body = await super().load(partition, offset)
        if body is not None:
            self.loaded.append(offset)
        return body


async def process(running: KafkaProcessing, broker: Broker, topic: str, saved: Watched, some: Sequence[Trade]) -> None:
    """Process trades, the last ten in two parts, each once windows are saved again, so that a commit names these."""
    published = 0
    for part in (some[:-10], some[-10:-5], some[-5:]):
        before, published = len(saved.saved), published + len(part)
        broker.produce(topic, map(as_json, part))
        await running.has_published(published)
        await running.until(partial(saved.has_more_than, before))


async def test_takeovers_of_saved_windows(kafka_running: Broker, redis_client: RedisClient) -> None:
    """Each owner continues exactly with what the one before has saved, also of rare assets and without its store.

    Few records are read again, and old saved windows are deleted.
    """
    topic, sent, now = kafka_running.topic(1), history(), lambda: START + SECONDS + 200
    saved, marked = Watched(redis_client), dict[str, Trade]()
    for place in range(0, len(sent), 3000):
        some, own = sent[place : place + 3000], MemoryTrades(ENDLESS, now)
        async with processing(kafka_running.url(topic), own, now, saved=saved) as running:
            await process(running, kafka_running, topic, saved, some)
            assert [one.id for one in running.trades] == [one.id for one in some]
            marked |= {one.id: one for one in running.trades}
            for asset in {one.asset for one in some}:
                found = running.processor.features(asset)
                assert found is not None
                known = [one for one in sent[: place + 3000] if one.asset == asset and not marked[one.id].late]
                assert_same(found, naive(known))
    assert len(saved.loaded) == len(sent) // 3000 - 1
    start = parse_metadata(kafka_running.committed(topic)[0][1])
    assert start is not None
    assert start.is_saved
    assert start.offset >= len(sent) - 10 - MOST_CONSUMED
    (key,) = await redis_client.redis.keys(f"{redis_client.prefix}windows:*")
    # the last stop may come between a save and the removal of what it replaces
    assert 1 <= await redis_client.redis.hlen(key) <= 4 + 1


@pytest.mark.parametrize("damage", [b"", b"no windows"])
async def test_saved_windows_are_lost(kafka_running: Broker, redis_client: RedisClient, damage: bytes) -> None:
    """Without the saved windows that the commit names, windows are read from the store."""
    topic, sent, now = kafka_running.topic(1), history()[:3000], lambda: START + SECONDS + 200
    saved, store = Watched(redis_client), MemoryTrades(ENDLESS, now)
    async with processing(kafka_running.url(topic), store, now, saved=saved) as first:
        await process(first, kafka_running, topic, saved, sent[:2900])
        marked = {one.id: one for one in first.trades}
    (key,) = await redis_client.redis.keys(f"{redis_client.prefix}windows:*")
    for offset in await redis_client.redis.hkeys(key):
        await (redis_client.redis.hset(key, offset, damage) if damage else redis_client.redis.hdel(key, offset))
    async with processing(kafka_running.url(topic), store, now, saved=saved) as second:
        await process(second, kafka_running, topic, saved, sent[2900:])
        marked |= {one.id: one for one in second.trades}
        for asset in HOT:
            found = second.processor.features(asset)
            assert found is not None
            assert_same(found, naive([one for one in sent if one.asset == asset and not marked[one.id].late]))
