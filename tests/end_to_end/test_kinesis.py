"""Processes on a Kinesis stream: POST /ingest, kills, takeovers. Each acknowledged trade counts once."""

import asyncio
import json
import random
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from redis import Redis

from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.topics import TRADES
from tests.parts.kinesis import Kinesis
from tests.parts.process import wait_for
from tests.parts.processing import ASSETS, as_json, trade
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, call

pytestmark = pytest.mark.real
LINES = {"Content-Type": "application/x-ndjson"}
BOTH = r"partitions_assigned\s+partitions=\[0, 1\]"  # a line of the log


def settings_of(folder: Path, kinesis: Kinesis, stream: str, **more: object) -> dict[str, object]:
    """Return the settings of a process whose files are in the folder."""
    folder.mkdir(exist_ok=True)
    symbols = folder / "symbols.csv"
    symbols.write_text("symbol\n" + "\n".join(ASSETS) + "\n")
    return {"symbols_file": symbols, "trades_log": kinesis.url(stream), **more}


async def stored_in(folder: Path) -> dict[str, Trade]:
    """Return the trades of the SQLite file of a process that has ended, by id. Each must be there once."""
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    found = [one for asset in ASSETS for one in await store.trades(asset, 0, 1e11, 100_000, newest_first=False)]
    await store.close()
    by_id = {one.id: one for one in found}
    assert len(by_id) == len(found)
    return by_id


async def test_posted_trades_survive_kills(kinesis_running: Kinesis, tmp_path: Path) -> None:
    """What POST /ingest has acknowledged is stored once, though the process is killed again and again."""
    stream, moments = kinesis_running.stream(), random.Random(5)
    settings = settings_of(tmp_path, kinesis_running, stream)
    service, acknowledged = Service(tmp_path, **settings).started(), set[str]()
    for kill in range(4):
        for part in range(10):
            some = [trade(number) for number in range(kill * 1000 + part * 100, kill * 1000 + part * 100 + 100)]
            body = b"\n".join(as_json(one)[1] for one in some)
            answer = await asyncio.to_thread(call, "POST", f"{service.url}/ingest", LINES, body)
            assert answer.status == 200, answer.text
            assert json.loads(answer.body)["accepted"] == 100
            acknowledged |= {one.id for one in some}
        if kill < 3:
            await asyncio.sleep(moments.uniform(0, 1))
            service.process.stop(SIGKILL)
            service = Service(tmp_path, **settings).started()
    await asyncio.to_thread(wait_for, lambda: kinesis_running.is_processed(stream))
    assert service.process.stop() == 0, service.process.output
    assert (await stored_in(tmp_path)).keys() == acknowledged


class Published:
    """The trades that processors publish through a Redis, by id. All events of a trade must be the same."""

    def __init__(self, redis: RedisServer) -> None:
        self._subscription = Redis.from_url(redis.url).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis has no types here
        self._subscription.psubscribe("*trades")
        self._subscription.get_message(timeout=10)  # the confirmation
        self.by_id: dict[str, Trade] = {}

    def has(self, count: int) -> bool:
        """Take the events that have come; return whether so many trades are published."""
        while (message := self._subscription.get_message(timeout=0.05)) is not None:
            for one in TRADES.decode(message["data"]):
                assert self.by_id.setdefault(one.id, one) == one
        return len(self.by_id) >= count

    def close(self) -> None:
        """Listen no more."""
        self._subscription.close()


class Processors:
    """Starts processors of one stream with a Redis; each has files of its own."""

    def __init__(self, folder: Path, kinesis: Kinesis, stream: str, redis: RedisServer) -> None:
        self._folder = folder
        self._kinesis = kinesis
        self._stream = stream
        self._redis = redis

    def start(self, name: str) -> Service:
        """Start a processor whose files are in the folder `name`."""
        more = {"cache_url": self._redis.url, "role": "processor"}
        settings = settings_of(self._folder / name, self._kinesis, self._stream, **more)
        return Service(self._folder / name, **settings).started()

    async def stored(self, *names: str) -> dict[str, Trade]:
        """Return the trades of the files of processors that have ended; those of two must be the same."""
        found: dict[str, Trade] = {}
        for name in names:
            for one in (await stored_in(self._folder / name)).values():
                assert found.setdefault(one.id, one) == one
        return found


async def test_a_takeover(kinesis_running: Kinesis, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A second processor takes some shards while running; when the first is killed, it takes the others."""
    stream, published = kinesis_running.stream(), Published(redis_alone)
    processors = Processors(tmp_path, kinesis_running, stream, redis_alone)
    sent = [trade(number) for number in range(6000)]
    first = processors.start("first")
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[:2000]))
    second = processors.start("second")
    second.process.wait_for_line(r"partitions_assigned")
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[2000:4000]))
    first.process.stop(SIGKILL)
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[4000:]))
    second.process.wait_for_line(BOTH)
    await asyncio.to_thread(wait_for, lambda: kinesis_running.is_processed(stream))
    assert second.process.stop() == 0, second.process.output
    stored = await processors.stored("first", "second")
    assert stored.keys() == {one.id for one in sent}
    wait_for(lambda: published.has(len(sent)))
    published.close()
    assert published.by_id == stored


async def test_a_suspended_process(kinesis_running: Kinesis, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A processor that is stopped for longer than its leases finds that it has lost them, and gets its share again."""
    stream, published = kinesis_running.stream(), Published(redis_alone)
    processors = Processors(tmp_path, kinesis_running, stream, redis_alone)
    sent = [trade(number) for number in range(6000)]
    first = processors.start("first")
    first.process.wait_for_line(BOTH)
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[:2000]))
    first.process.signal(SIGSTOP)
    second = processors.start("second")
    second.process.wait_for_line(BOTH)
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[2000:4000]))
    first.process.signal(SIGCONT)
    first.process.wait_for_line("lease_lost")
    second.process.wait_for_line("partitions_revoked")  # one shard goes back to the first
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[4000:]))
    await asyncio.to_thread(wait_for, lambda: kinesis_running.is_processed(stream))
    for service in (first, second):
        assert service.process.stop() == 0, service.process.output
    stored = await processors.stored("first", "second")
    assert stored.keys() == {one.id for one in sent}
    wait_for(lambda: published.has(len(sent)))
    published.close()
    assert published.by_id == stored
