"""The event log in Kinesis: records, poison, limits, restarts, takeovers, reshards."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from aggregator.models import Trade, trade_key
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.parts.dynamodb import DynamoServer
from tests.parts.kinesis import LEASE, Kinesis
from tests.parts.kinesis_processing import KinesisProcessing, processing
from tests.parts.processing import ASSETS, as_json, as_protobuf, trade
from tests.trades.test_features import assert_same, naive

pytestmark = pytest.mark.real
ENDLESS = 1e12  # seconds of retention


def assert_each_once(published: list[Trade], sent: list[Trade]) -> None:
    """Assert that each trade is published once, and those of an asset in order."""
    assert Counter(one.id for one in published) == Counter(one.id for one in sent)
    for asset in ASSETS:
        assert [one for one in published if one.asset == asset] == [one for one in sent if one.asset == asset]


async def test_json_is_stored_and_published_once(kinesis_running: Kinesis) -> None:
    """10,000 trades in JSON, a tenth of them twice: each is stored and published once, in the order of its asset."""
    stream, store = kinesis_running.stream(4), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(10_000)]
    kinesis_running.put(stream, [as_json(one) for one in [*sent, *sent[:1000]]])
    before = kinesis_running.proxy.count("too_many")
    async with processing(kinesis_running.url(stream), store) as running:
        await running.has_published(10_000)
        await running.until(lambda: running.log.backlog.trades == 0)
        assert running.shards == 4
    assert_each_once(running.trades, sent)
    for asset in ASSETS:
        expected = [one for one in sent if one.asset == asset]
        assert await store.trades(asset, 0, 1e12, 1000, newest_first=False) == sorted(expected, key=trade_key)
    assert kinesis_running.is_processed(stream)
    assert kinesis_running.proxy.count("too_many") == before  # the reader keeps Amazon's limit by itself


async def test_other_formats(kinesis_running: Kinesis, tmp_path: Path) -> None:
    """Updates in protobuf, and JSON with other names of fields, are stored in SQLite."""
    stream, at = kinesis_running.stream(), int(time.time()) - 10
    records = [as_protobuf(number, ASSETS[number % 40], at * 10**9 + number * 1000) for number in range(1000)]
    records += [
        ("one", b'{"symbol":"ASSET%d","price":%d,"volume":2,"timestamp":%d}' % (number, 100 + number, at))
        for number in range(40)
    ]
    kinesis_running.put(stream, records)
    store = SqliteTrades(tmp_path / "trades.db", ENDLESS)
    await store.open()
    async with processing(kinesis_running.url(stream, format="protobuf"), store) as running:
        await running.has_published(1040)
    found = [one for asset in ASSETS for one in await store.trades(asset, 0, 1e12, 1000, newest_first=False)]
    await store.close()
    assert len(found) == len(running.trades) == 1040
    assert running.buried.letters == []


POISON = [
    (b"no json", "malformed"),
    (b'{"asset":"unknown","price":1,"timestamp":1700000000}', "asset"),
    (b'{"asset":"asset1","price":-1,"timestamp":1700000000}', "price"),
    (b"\xff\xfe\x00", "malformed"),
    (b"[]" * 3, "malformed"),
]


async def test_poison_is_a_dead_letter_with_its_place(kinesis_running: Kinesis) -> None:
    """A record that is no trade is buried with stream, shard and sequence number; its shard goes on."""
    stream = kinesis_running.stream(1)
    records = [as_json(trade(number)) for number in range(100)]
    for place, (value, _) in enumerate(POISON):
        records.insert(place * 20, ("asset1", value))
    kinesis_running.put(stream, records)
    async with processing(kinesis_running.url(stream), MemoryTrades(ENDLESS)) as running:
        await running.has_published(100)
        await running.until(lambda: running.log.backlog.trades == 0)
    shard = "shardId-000000000000"
    places = {data: f"{stream}/{shard}/{number}" for number, data in kinesis_running.records(stream, shard)}
    assert [(one.place, one.source, one.code) for one in running.buried.letters] == [
        (places[data], "kinesis", code) for data, code in POISON
    ]
    assert kinesis_running.is_processed(stream)


async def test_a_checkpoint_waits_for_dead_letters(kinesis_running: Kinesis) -> None:
    """What comes after a dead letter is checkpointed once the dead letter is kept."""
    stream = kinesis_running.stream(1)
    records = [as_json(trade(0)), ("asset1", b"no json"), as_json(trade(1))]
    async with processing(kinesis_running.url(stream), MemoryTrades(ENDLESS)) as running:
        running.buried.keeps = False
        kinesis_running.put(stream, records)
        await running.has_published(2)
        shard = "shardId-000000000000"
        counter = kinesis_running.leases(stream)[shard]["leaseCounter"]
        await running.until(lambda: int(kinesis_running.leases(stream)[shard]["leaseCounter"]) > int(counter) + 1)
        assert kinesis_running.checkpoints(stream)[shard] == "TRIM_HORIZON"
        running.buried.keeps = True
        await running.until(lambda: kinesis_running.is_processed(stream))


async def test_a_restart_goes_on_after_the_checkpoint(kinesis_running: Kinesis) -> None:
    """A processor that stops gives its leases back; the next one publishes what comes after, and nothing again."""
    stream, store = kinesis_running.stream(), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(3000)]
    kinesis_running.put(stream, map(as_json, sent[:2000]))
    async with processing(kinesis_running.url(stream), store) as first:
        await first.has_published(2000)
    assert not any("leaseOwner" in one for one in kinesis_running.leases(stream).values())
    kinesis_running.put(stream, map(as_json, sent[2000:]))
    async with processing(kinesis_running.url(stream), store) as second:
        await second.has_published(1000)
    assert len(first.trades) == 2000
    assert_each_once(second.trades, sent[2000:])


async def test_a_takeover_rebuilds_the_windows(kinesis_running: Kinesis) -> None:
    """The shards of a processor that died go to another, which publishes nothing again and knows all windows."""
    stream, store, start = kinesis_running.stream(), MemoryTrades(ENDLESS), time.time() - 800
    sent = [trade(number, timestamp=round(start + number / 5, 6)) for number in range(4000)]
    kinesis_running.put(stream, map(as_json, sent[:3000]))
    async with processing(kinesis_running.url(stream), store) as first:
        await first.has_published(3000)
        await first.until(lambda: kinesis_running.is_processed(stream))
        first.is_killed = True
    assert all("leaseOwner" in one for one in kinesis_running.leases(stream).values())
    kinesis_running.put(stream, map(as_json, sent[3000:]))
    async with processing(kinesis_running.url(stream), store) as second:
        await second.has_published(1000)
    assert_each_once(second.trades, sent[3000:])
    for asset in ASSETS:
        newest = [one for one in second.published if one.asset == asset][-1]
        assert_same(newest, naive([one for one in sent if one.asset == asset]))


async def test_the_leases_in_dynamodb(kinesis_running: Kinesis, dynamodb_running: DynamoServer) -> None:
    """The table of leases may be in another DynamoDB than the endpoint of the stream."""
    stream, store = kinesis_running.stream(), MemoryTrades(ENDLESS)
    url = kinesis_running.url(stream, table_endpoint=dynamodb_running.endpoint)
    sent = [trade(number) for number in range(400)]
    for part in (sent[:200], sent[200:]):
        kinesis_running.put(stream, map(as_json, part))
        async with processing(url, store) as running:
            await running.has_published(200)
        assert_each_once(running.trades, part)


async def test_nothing_of_a_lost_lease_is_published(kinesis_running: Kinesis) -> None:
    """A process that was suspended asks for its leases before it publishes; what another owns by now is left out."""
    stream = kinesis_running.stream(1)
    kinesis_running.put(stream, [as_json(trade(number)) for number in range(10)])
    log = KinesisProcessing(kinesis_running.url(stream), MemoryTrades(ENDLESS), time.time, 1000).log
    await log.open()
    try:
        batch = await log.next_batch()
        assert await log.owned(batch) == batch
        kinesis_running.steal(stream, "shardId-000000000000", "another")
        for assignment in log._consumer.assignments.values():
            assignment.confirmed_at -= LEASE
        assert await log.owned(batch) == []
    finally:
        await log.close()
    assert kinesis_running.leases(stream)["shardId-000000000000"]["leaseOwner"] == "another"


async def test_processors_share_the_shards(kinesis_running: Kinesis) -> None:
    """A second processor gets half of the shards from the first; when one stops, the other has all of them."""
    stream, store = kinesis_running.stream(4), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(3000)]
    url = kinesis_running.url(stream)
    async with processing(url, store) as second:
        async with processing(url, store) as first:
            kinesis_running.put(stream, map(as_json, sent[:1000]))
            await first.until(lambda: first.shards == second.shards == 2)
            kinesis_running.put(stream, map(as_json, sent[1000:2000]))
            await first.until(lambda: len(first.trades) + len(second.trades) >= 2000)
        await second.until(lambda: second.shards == 4)
        kinesis_running.put(stream, map(as_json, sent[2000:]))
        await second.until(lambda: len(first.trades) + len(second.trades) >= 3000)
    assert Counter(one.id for one in [*first.trades, *second.trades]) == Counter(one.id for one in sent)


async def test_splits_and_merges(kinesis_running: Kinesis) -> None:
    """The children of a shard are read once it is processed: each trade comes once, in the order of its asset."""
    stream, store = kinesis_running.stream(2), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(4000)]
    async with processing(kinesis_running.url(stream), store) as running:
        kinesis_running.put(stream, map(as_json, sent[:1000]))
        await running.has_published(500)
        kinesis_running.split(stream, "shardId-000000000000")
        kinesis_running.put(stream, map(as_json, sent[1000:2000]))
        await running.has_published(1500)
        kinesis_running.merge(stream, "shardId-000000000003", "shardId-000000000001")
        kinesis_running.put(stream, map(as_json, sent[2000:]))
        await running.has_published(4000)
        await running.until(lambda: sorted(one.partition for one in running.log.lags) == [2, 4])
    assert_each_once(running.trades, sent)
    ended = {shard for shard, at in kinesis_running.checkpoints(stream).items() if at == "SHARD_END"}
    assert ended == {f"shardId-00000000000{number}" for number in (0, 1, 3)}
    assert kinesis_running.is_processed(stream)


async def test_leases_of_forgotten_shards(kinesis_running: Kinesis) -> None:
    """A lease whose shard is older than the retention is deleted; the other shards are read."""
    stream = kinesis_running.stream()
    url = kinesis_running.url(stream)
    async with processing(url, MemoryTrades(ENDLESS)) as running:
        await running.until(lambda: running.shards == 2)
        for checkpoint in ("SHARD_END", "5"):
            kinesis_running.add_lease(stream, f"shardId-9{checkpoint}", checkpoint)
        await running.until(lambda: len(kinesis_running.leases(stream)) == 2)
        assert running.shards == 2


async def test_start_at_a_time(kinesis_running: Kinesis) -> None:
    """Without a checkpoint, start=latest and start=<time> read what arrives from then on."""
    stream = kinesis_running.stream()
    kinesis_running.put(stream, [as_json(trade(number)) for number in range(100)])
    await asyncio.sleep(1.5)  # the address has whole milliseconds, moto's iterator whole seconds
    since = f"{time.time():.3f}"
    for start in ("latest", since):
        url = kinesis_running.url(stream, start=start, table=f"from-{start}")
        async with processing(url, MemoryTrades(ENDLESS)) as running:
            await running.until(lambda: running.shards == 2)
            if start == "latest":
                kinesis_running.put(stream, [as_json(trade(number)) for number in range(100, 200)])
            await running.has_published(100)
        assert {int(one.id) for one in running.trades} == set(range(100, 200))


async def test_throttled_reads(kinesis_running: Kinesis) -> None:
    """Throttled calls, expired iterators, errors and lost answers are retried; each trade is published once."""
    stream = kinesis_running.stream()
    sent = [trade(number) for number in range(5000)]
    kinesis_running.put(stream, map(as_json, sent[:2500]))
    kinesis_running.proxy.faults(throttle_rate=0.3, expire_rate=0.1, error_rate=0.05, lost_rate=0.05)
    try:
        async with processing(kinesis_running.url(stream), MemoryTrades(ENDLESS)) as running:
            receipts = await asyncio.gather(*[running.log.append(sent[at : at + 100]) for at in range(2500, 5000, 100)])
            await running.has_published(5000)
            await running.until(lambda: running.throttled("GetRecords") > 0)
            kinesis_running.proxy.faults()
    finally:
        kinesis_running.proxy.faults()
    assert sum(one.accepted for one in receipts) == 2500
    assert Counter(one.id for one in running.trades) == Counter(one.id for one in sent)
    assert kinesis_running.is_processed(stream)


async def test_answers_that_are_not_amazons(kinesis_running: Kinesis) -> None:
    """An answer that cannot be read is an error that is retried; each trade is published once."""
    stream = kinesis_running.stream()
    sent = [trade(number) for number in range(1000)]
    kinesis_running.put(stream, map(as_json, sent[:500]))
    try:
        async with processing(kinesis_running.url(stream), MemoryTrades(ENDLESS)) as running:
            kinesis_running.proxy.faults(garbage_rate=0.3)
            before = kinesis_running.proxy.count("errors")
            await running.log.append(sent[500:])
            await running.has_published(1000)
            await running.until(lambda: kinesis_running.proxy.count("errors") > before + 20)
            kinesis_running.proxy.faults()
            await running.until(lambda: not running.log.trouble)
    finally:
        kinesis_running.proxy.faults()
    assert Counter(one.id for one in running.trades) == Counter(one.id for one in sent)
    assert kinesis_running.is_processed(stream)
