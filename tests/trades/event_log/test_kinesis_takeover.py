"""Takeovers of a shard whose windows are saved."""

import pytest

from aggregator.models import Trade
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.window_start import parse_metadata
from tests.parts.kinesis import Kinesis
from tests.parts.kinesis_processing import KinesisProcessing, processing
from tests.parts.processing import as_json
from tests.trades.event_log.test_takeover import ENDLESS, SECONDS, Watched, history
from tests.trades.test_features import START, assert_same, naive

pytestmark = pytest.mark.real
SHARD = "shardId-000000000000"
PART = 2600  # trades of an owner; the first 2,500 are 400 s, more than the windows have


async def process(running: KinesisProcessing, to: Kinesis, stream: str, saved: Watched, some: list[Trade]) -> None:
    """Process trades, the last ten once windows are saved, so that a checkpoint names these."""
    before = len(saved.saved)
    to.put(stream, map(as_json, some[:-10]))
    await running.has_published(len(some) - 10)
    await running.until(lambda: len(saved.saved) > before)
    for first in (-10, -5):
        to.put(stream, map(as_json, some[first : first + 5 or None]))
        await running.has_published(len(some) + first + 5)
    await running.until(lambda: to.is_processed(stream))


async def test_takeovers_of_saved_windows(kinesis_running: Kinesis, redis_client: RedisClient) -> None:
    """Each owner continues exactly with what the one before has saved, without its store, and reads little again."""
    stream, now = kinesis_running.stream(1), lambda: START + SECONDS + 200
    sent, saved, marked = history()[: 3 * PART], Watched(redis_client), dict[str, Trade]()
    for place in range(0, len(sent), PART):
        some, own = sent[place : place + PART], MemoryTrades(ENDLESS, now)
        async with processing(kinesis_running.url(stream), own, now, saved=saved) as running:
            await process(running, kinesis_running, stream, saved, some)
            assert [one.id for one in running.trades] == [one.id for one in some]
            marked |= {one.id: one for one in running.trades}
            for asset in {one.asset for one in some}:
                found = running.processor.features(asset)
                assert found is not None
                known = [one for one in sent[: place + PART] if one.asset == asset and not marked[one.id].late]
                assert_same(found, naive(known))
    assert len(saved.loaded) == len(sent) // PART - 1
    start = parse_metadata(kinesis_running.leases(stream)[SHARD]["windows"])
    assert start is not None
    assert start.is_saved
    read_again = [number for number, _ in kinesis_running.records(stream, SHARD) if int(number) >= start.offset]
    assert len(read_again) <= PART
