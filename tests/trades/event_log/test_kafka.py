"""The event log in Kafka: records of both formats, poison, restarts, takeovers, the producer's side."""

import asyncio
import time
from collections import Counter
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import msgspec
import pytest

from aggregator.models import trade_key
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.producer import KafkaProducer
from aggregator.trades.ports import BacklogFull, NotAppended
from tests.parts import kafka
from tests.parts.kafka import Broker
from tests.parts.process import wait_for
from tests.parts.processing import ASSETS, PATIENT, as_json, as_protobuf, trade
from tests.trades.event_log.kafka_processing import processing

pytestmark = pytest.mark.real
ENDLESS = 1e12  # seconds of retention


async def test_json_is_stored_and_published_once(kafka_running: Broker) -> None:
    """10,000 trades in JSON, a tenth of them twice: each is stored and published once, in the order of its asset."""
    topic, start = kafka_running.topic(), time.time() - 10
    sent = [trade(number, timestamp=start + number * 1e-6) for number in range(10_000)]
    kafka_running.produce(topic, [as_json(one) for one in [*sent, *sent[:1000]]])
    store = MemoryTrades(ENDLESS)
    async with processing(kafka_running.url(topic), store) as running:
        await running.has_published(10_000)
        await running.until(lambda: running.log.backlog.trades == 0)
    assert Counter(one.id for one in running.trades) == Counter(one.id for one in sent)
    for asset in ASSETS:
        expected = [one for one in sent if one.asset == asset]
        assert [one for one in running.trades if one.asset == asset] == expected
        assert await store.trades(asset, 0, 1e12, 1000, newest_first=False) == sorted(expected, key=trade_key)
    assert sum(offset for offset, _ in kafka_running.committed(topic).values()) == 11_000


async def test_protobuf_is_stored_once(kafka_running: Broker, tmp_path: Path) -> None:
    """10,000 updates in protobuf, with JSON records between them, into SQLite."""
    topic = kafka_running.topic()
    start = (int(time.time()) - 10) * 10**9
    records: list[tuple[str, bytes | None]] = [
        as_protobuf(number, ASSETS[number % 40], start + number * 1000) for number in range(10_000)
    ]
    records[5000:5000] = [as_json(trade(number)) for number in range(100)]
    kafka_running.produce(topic, records)
    store = SqliteTrades(tmp_path / "trades.db", ENDLESS)
    await store.open()
    async with processing(kafka_running.url(topic, format="protobuf"), store) as running:
        await running.has_published(10_100)
        await running.until(lambda: running.log.backlog.trades == 0)
    found = [one for asset in ASSETS for one in await store.trades(asset, 0, 1e12, 1000, newest_first=False)]
    await store.close()
    assert len(found) == len(running.trades) == 10_100
    assert running.buried.letters == []


POISON: list[tuple[bytes | None, str]] = [
    (b"no json", "malformed"),
    (b'{"asset":"unknown","price":1,"timestamp":1700000000}', "asset"),
    (b'{"asset":"asset1","price":-1,"timestamp":1700000000}', "price"),
    (b'{"asset":"asset1",\n"price":1,"timestamp":99}', "timestamp"),
    (b"\xff\xfe\x00", "malformed"),
    (b"[]" * 3, "malformed"),
]


@pytest.mark.parametrize("format_", ["json", "protobuf"])
async def test_poison_is_a_dead_letter_with_its_place(kafka_running: Broker, format_: str) -> None:
    """A record that is no trade is buried with topic, partition and offset; its partition goes on, tombstones too."""
    topic = kafka_running.topic(1)
    good = [trade(number) for number in range(200)]
    records: list[tuple[str, bytes | None]] = [as_json(one) for one in good]
    for place, (value, _) in enumerate(POISON):
        records.insert(place * 20, ("asset1", value))
    records += [("asset1", None), ("asset1", b""), as_json(trade(999))]
    kafka_running.produce(topic, records)
    async with processing(kafka_running.url(topic, format=format_), MemoryTrades(ENDLESS)) as running:
        await running.has_published(201)
        await running.until(lambda: running.log.backlog.trades == 0)
    assert [one.id for one in running.trades] == [*[one.id for one in good], "999"]
    assert [(one.place, one.source) for one in running.buried.letters] == [
        (f"{topic}/0/{place * 20}", "kafka") for place in range(len(POISON))
    ]
    assert [one.code for one in running.buried.letters] == [code for _, code in POISON]
    assert kafka_running.committed(topic)[0][0] == len(records)
    assert running.metrics.trades.empty_records._value.get() == 2


async def test_an_offset_is_not_committed_before_its_dead_letters_are_kept(kafka_running: Broker) -> None:
    """The records before them are; those behind them are processed, and committed once the dead letters are kept."""
    topic = kafka_running.topic(1)
    kafka_running.produce(topic, map(as_json, [trade(number, "asset1") for number in range(3)]))
    async with processing(kafka_running.url(topic), MemoryTrades(ENDLESS)) as running:
        running.buried.keeps = False
        await running.until(lambda: kafka_running.committed(topic).get(0, (0, ""))[0] == 3)
        kafka_running.produce(topic, [("asset1", b"bad"), as_json(trade(3, "asset1"))])
        await running.has_published(4)
        kafka_running.produce(topic, [as_json(trade(4, "asset1"))])
        await running.has_published(5)
        await asyncio.sleep(0.5)  # five times as long as a commit takes
        assert kafka_running.committed(topic)[0][0] == 3
        running.buried.keeps = True
        await running.until(lambda: kafka_running.committed(topic)[0][0] == 6)


async def test_arrays_and_batches(kafka_running: Broker) -> None:
    """A record may be an array of trades, or a batch of updates in protobuf."""
    topic = kafka_running.topic(1)
    array = b"[" + b",".join(as_json(trade(number, "asset1"))[1] for number in range(3)) + b"]"
    start = (int(time.time()) - 10) * 10**9
    updates = [as_protobuf(number, "asset2", start + number * 1000)[1] for number in range(3)]
    batch = b"".join(b"\n%c%b" % (len(one), one) for one in updates)
    kafka_running.produce(topic, [("asset1", array), ("asset2", batch), as_json(trade(9, "asset3"))])
    async with processing(kafka_running.url(topic, format="protobuf"), MemoryTrades(ENDLESS)) as running:
        await running.has_published(7)
    assert [one.asset for one in running.trades] == ["asset1"] * 3 + ["asset2"] * 3 + ["asset3"]
    assert running.buried.letters == []


async def test_a_restart_goes_on_after_the_commit(kafka_running: Broker) -> None:
    """A processor that stops commits; the next one publishes what comes after it, and nothing again."""
    topic, store = kafka_running.topic(), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(3000)]
    kafka_running.produce(topic, map(as_json, sent[:2000]))
    async with processing(kafka_running.url(topic), store) as first:
        await first.has_published(2000)
    kafka_running.produce(topic, map(as_json, sent[2000:]))
    async with processing(kafka_running.url(topic), store) as second:
        await second.has_published(1000)
    assert [one.id for one in sorted(second.trades, key=lambda one: int(one.id))] == [one.id for one in sent[2000:]]
    assert len(first.trades) == 2000


@pytest.mark.parametrize("before", [0, 30])
async def test_a_commit_beyond_the_end_of_the_topic(kafka_running: Broker, before: int) -> None:
    """The topic was made anew, or the brokers have lost records: what it has now is stored, and what comes then."""
    topic, store = kafka_running.topic(1), MemoryTrades(ENDLESS)
    sent = [trade(number) for number in range(60)]
    kafka_running.produce(topic, map(as_json, sent[:before]))
    kafka_running.commit(topic, 0, 1000)
    async with processing(kafka_running.url(topic), store) as running:
        await running.until(lambda: running.log.lags)
        kafka_running.produce(topic, map(as_json, sent[before:]))
        await running.has_published(60)
        await running.until(lambda: kafka_running.committed(topic)[0][0] == 60)
    assert [one.id for one in running.trades] == [one.id for one in sent]


def _is_stopped(pid: int) -> bool:
    """Whether each thread of a process is stopped: one that runs on another core is stopped a little later."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    states = [(one / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] for one in threads]
    return set(states) == {"T"}


async def test_a_broker_that_hangs() -> None:
    """Appended trades wait, bounded; once the broker goes on, all are delivered, and there is room again."""
    with kafka.running() as broker:
        if broker.process is None:
            pytest.skip("the broker of KAFKA_BOOTSTRAP is not ours to stop")
        topic = broker.topic()
        async with processing(broker.url(topic), MemoryTrades(ENDLESS), most=1000) as running:
            await running.log.append([trade(0)])
            broker.process.signal(SIGSTOP)
            wait_for(partial(_is_stopped, broker.process.child.pid), what="the broker to stop")
            waiting = [running.log.append([trade(number) for number in range(1, 600)])]
            waiting.append(running.log.append([trade(number) for number in range(600, 1200)]))
            with pytest.raises(BacklogFull):
                running.log.append([trade(9999)])
            room = asyncio.create_task(running.log.room())
            await asyncio.wait([room], timeout=0.5)
            assert not room.done()
            assert not any(one.done() for one in waiting)
            broker.process.signal(SIGCONT)
            async with asyncio.timeout(PATIENT):
                assert [one.accepted for one in await asyncio.gather(*waiting)] == [599, 600]
                await room
            await running.has_published(1200)
        assert Counter(one.id for one in running.trades) == Counter(str(number) for number in range(1200))


async def test_trades_that_no_broker_takes(kafka_running: Broker) -> None:
    """A record that is too large for the broker is not delivered, and the caller is told."""
    clients = KafkaClients(parse_kafka_url(kafka_running.url(kafka_running.topic())), KafkaSecurity())
    producer = KafkaProducer(clients, 1000)
    producer.start()
    huge = trade(1)
    huge = msgspec.structs.replace(huge, id="x" * 2_000_000)
    with pytest.raises(NotAppended):
        async with asyncio.timeout(PATIENT):
            await producer.append([trade(0), huge, trade(2)])
    async with asyncio.timeout(PATIENT):
        assert (await producer.append([trade(3)])).accepted == 1
    await asyncio.to_thread(producer.stop)


async def test_appended_trades_come_back(kafka_running: Broker) -> None:
    """`append` is done once the brokers have the trades, and the processor gets them with every digit."""
    topic = kafka_running.topic()
    sent = [trade(number, price="0.000000000123456789012345") for number in range(500)]
    async with processing(kafka_running.url(topic), MemoryTrades(ENDLESS)) as running:
        receipts = await asyncio.gather(
            *[running.log.append(sent[place : place + 100]) for place in range(0, 500, 100)]
        )
        await running.has_published(500)
    assert [(one.accepted, one.duplicates) for one in receipts] == [(100, 0)] * 5
    assert sorted(running.trades, key=lambda one: int(one.id)) == sent
