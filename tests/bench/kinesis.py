"""Trades of a Kinesis stream, through the processor into SQLite, against a bare GetRecords loop on aioboto3.

Both read the same records from the same shards of moto, in turns. moto costs more CPU time than either, so the rates
are largely moto's; the CPU time of the reading process is our own.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import aioboto3

from aggregator.stores.trades.sqlite import SqliteTrades
from tests.bench.report import Figure, median_ratio
from tests.parts.kinesis import Kinesis, running
from tests.parts.kinesis_processing import processing
from tests.parts.processing import as_json, trade

RECORDS = 40_000
SHARDS = 4
_ROUNDS = 3
_PAGE = 2000  # as the service reads
_ENDLESS = 1e12


class Read(NamedTuple):
    """The time of reading all records, in seconds."""

    seconds: float
    cpu: float


def run(records: int = RECORDS, rounds: int = _ROUNDS) -> list[Figure]:
    """Read `records` records in turns."""
    with running() as kinesis:
        stream, since = kinesis.stream(SHARDS), time.time() - 3600
        kinesis.put(stream, [as_json(trade(one, timestamp=round(since + one / 100, 6))) for one in range(records)])
        bare, ours = [], []
        for number in range(rounds):
            bare.append(asyncio.run(_timed(_bare(kinesis, stream, records))))
            ours.append(asyncio.run(_timed(_ours(kinesis, stream, records, f"bench-{number}"))))
    return [
        Figure("bare GetRecords", records / median(one.seconds for one in bare), "records/s"),
        Figure("processed and stored", records / median(one.seconds for one in ours), "records/s"),
        Figure(
            "that rate / bare",
            median_ratio([1 / one.seconds for one in ours], [1 / one.seconds for one in bare]),
            bound=">= 0.8",
        ),
        Figure("CPU of a record, bare", 1e6 * median(one.cpu for one in bare) / records, "us"),
        Figure("CPU of a record, processed and stored", 1e6 * median(one.cpu for one in ours) / records, "us"),
    ]


async def _timed(work: Awaitable[None]) -> Read:
    started, cpu = time.perf_counter(), time.process_time()
    await work
    return Read(time.perf_counter() - started, time.process_time() - cpu)


async def _bare(kinesis: Kinesis, stream: str, records: int) -> None:
    """Read all records of the shards at once, and do nothing with them."""
    names = ("aws_access_key_id", "aws_secret_access_key")  # moto takes any
    session = aioboto3.Session(region_name="us-east-1", **dict.fromkeys(names, "local"))
    async with session.client("kinesis", endpoint_url=kinesis.target) as client:

        async def read(shard: str) -> int:
            answer = await client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
            iterator, count = answer["ShardIterator"], 0
            while True:
                answer = await client.get_records(ShardIterator=iterator, Limit=_PAGE)
                if not answer["Records"]:
                    return count
                count += len(answer["Records"])
                iterator = answer["NextShardIterator"]

        assert sum(await asyncio.gather(*map(read, kinesis.shards(stream)))) == records


async def _ours(kinesis: Kinesis, stream: str, records: int, table: str) -> None:
    """Read, check, store, measure and publish all records, from the first look at the table of leases."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteTrades(Path(folder) / "trades.db", _ENDLESS)
        await store.open()
        url = kinesis.url(stream, table=table, endpoint=kinesis.target)
        async with processing(url, store) as one:
            await one.has_published(records)
        await store.close()
