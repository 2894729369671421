"""Rebalances: a processor comes and goes while trades come; each is published, in order, and windows stay exact."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from aggregator.models import Trade
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.consumer import KafkaConsumer
from tests.parts import limits
from tests.parts.kafka import Broker
from tests.parts.processing import ASSETS, PATIENT, as_json, trade
from tests.trades.event_log.kafka_processing import KafkaProcessing, processing
from tests.trades.test_features import assert_same, naive

pytestmark = pytest.mark.real
ENDLESS = 1e12  # seconds of retention
ROUNDS = 2 if limits.FULL else 1


async def producing(broker: Broker, topic: str, sent: list[Trade], done: asyncio.Event) -> None:
    """Produce trades, somewhat out of order, until `done` is set; the last one of each asset comes afterwards."""
    moments, number = random.Random(2), 0
    while not done.is_set():
        some = []
        for _ in range(100):
            at = time.time() - 30 + moments.uniform(-2, 2)
            some.append(trade(number, timestamp=round(at, 6), price=moments.randint(90, 110), volume=number % 50 + 1))
            number += 1
        await asyncio.to_thread(broker.produce, topic, [as_json(one) for one in some])
        sent += some
        await asyncio.sleep(0.1)
    last = [trade(number + n, asset, timestamp=round(time.time() - 1, 6)) for n, asset in enumerate(ASSETS)]
    await asyncio.to_thread(broker.produce, topic, [as_json(one) for one in last])
    sent += last


@pytest.mark.parametrize("how", ["cooperative", pytest.param("eager", marks=pytest.mark.long)])
async def test_a_processor_that_comes_and_goes(kafka_with_groups: Broker, how: str) -> None:
    """A second processor takes partitions over and gives them back, several times, as in a rolling restart."""
    topic, store, sent = kafka_with_groups.topic(4), MemoryTrades(ENDLESS), list[Trade]()
    url, done, all_of = kafka_with_groups.url(topic, rebalance=how), asyncio.Event(), list[KafkaProcessing]()
    async with AsyncExitStack() as stack:
        steady = await stack.enter_async_context(processing(url, store))
        all_of.append(steady)
        await steady.until(lambda: len(steady.log.lags) == 4)
        producer = asyncio.create_task(producing(kafka_with_groups, topic, sent, done))
        for _ in range(ROUNDS):
            async with processing(url, store) as passing:
                all_of.append(passing)
                await steady.until(lambda passing=passing: passing.log.lags and passing.trades)  # type: ignore[misc]
            await steady.until(lambda: len(steady.log.lags) == 4)
        done.set()
        await producer
        newest = {one.asset: one for one in sent}
        await steady.until(lambda: all(steady.processor.quote(asset) == one for asset, one in newest.items()))
        found = {asset: steady.processor.features(asset) for asset in ASSETS}
    published = [one for each in all_of for one in each.trades]
    by_id = {one.id: one for one in published}
    assert by_id.keys() == {one.id for one in sent}
    assert [one for one in published if one != by_id[one.id]] == []
    for one in all_of:
        for asset in ASSETS:  # what the commits that failed in a rebalance had published comes once more
            numbers = list(dict.fromkeys(int(each.id) for each in one.trades if each.asset == asset))
            assert numbers == sorted(numbers)
    for asset, features in found.items():
        assert features is not None
        assert_same(features, naive([by_id[one.id] for one in sent if one.asset == asset and not by_id[one.id].late]))


async def test_paused_partitions_go_on(kafka_with_groups: Broker) -> None:
    """A consumer without room that keeps partitions in a rebalance reads them to their ends once there is room."""
    topic, records = kafka_with_groups.topic(4), [(ASSETS[number % len(ASSETS)], b"{}") for number in range(8_000)]
    kafka_with_groups.produce(topic, records)
    clients = KafkaClients(parse_kafka_url(kafka_with_groups.url(topic)), KafkaSecurity())
    full, second = (KafkaConsumer(clients, 300, lambda: None) for _ in range(2))
    full.start()
    await until(lambda: full.handed_over.has_waiting)
    second.start()
    await until(lambda: len(full.assignments) < 4)
    kept = full.assignments
    await until(lambda: full.assignments is not kept)  # the second part of a cooperative rebalance
    left = {partition: one.end for partition, one in full.assignments.items()}

    def is_read() -> bool:
        for message in (message for one in full.handed_over.take(1000) for message in one.messages):
            if message.offset() + 1 == left.get(message.partition()):
                del left[message.partition()]
        return not left

    await until(is_read)
    await asyncio.gather(asyncio.to_thread(full.stop), asyncio.to_thread(second.stop))


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENT):
        while not condition():
            await asyncio.sleep(0.01)
