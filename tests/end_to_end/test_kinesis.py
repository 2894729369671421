"""Processes on a Kinesis stream: POST /ingest, kills, takeovers. Each acknowledged trade counts once."""

import asyncio
import json
import random
from pathlib import Path
from signal import SIGKILL

import pytest

from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.parts.kafka_processing import ASSETS, as_json, trade
from tests.parts.kinesis import Kinesis
from tests.parts.process import wait_for
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


async def test_a_takeover(kinesis_running: Kinesis, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A second processor takes some shards while running; when the first is killed, it takes the others."""
    stream = kinesis_running.stream()
    sent = [trade(number) for number in range(6000)]

    def start(name: str) -> Service:
        settings = settings_of(tmp_path / name, kinesis_running, stream, cache_url=redis_alone.url, role="processor")
        return Service(tmp_path / name, **settings).started()

    first = start("first")
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[:2000]))
    second = start("second")
    second.process.wait_for_line(r"partitions_assigned")
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[2000:4000]))
    first.process.stop(SIGKILL)
    await asyncio.to_thread(kinesis_running.put, stream, map(as_json, sent[4000:]))
    second.process.wait_for_line(BOTH)
    await asyncio.to_thread(wait_for, lambda: kinesis_running.is_processed(stream))
    assert second.process.stop() == 0, second.process.output
    in_first, in_second = await stored_in(tmp_path / "first"), await stored_in(tmp_path / "second")
    assert {*in_first, *in_second} == {one.id for one in sent}
    assert all(in_first[one] == in_second[one] for one in in_first.keys() & in_second.keys())
