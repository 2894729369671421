"""The units that a trade costs in each store, for `aggregator cost`: `.venv/bin/python -m tests.bench.cost_units`.

Bytes of an item in DynamoDB come from the item, as Amazon counts them. Bytes in SQLite and PostgreSQL are those of a
store of 1,000 assets, after its moves and a checkpoint, divided by the trades. The CPU of PostgreSQL is that of all of
its processes during inserts of 5,000 trades.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from aggregator.models import encode
from aggregator.stores.trades.dynamodb_items import item_of
from aggregator.stores.trades.postgres_table import PostgresTrades
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.bench.postgres import Made
from tests.bench.report import Figure, table
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer, programs

TRADES = 500_000
_BATCH = 5000
_RETENTION = 172_800.0
_PER_ITEM = 100  # bytes that DynamoDB adds to the storage of each item


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of an item as DynamoDB counts them: names, texts, half a byte a digit and one for the number."""
    total = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        size = 1 if kind == "BOOL" else len(str(content).encode())
        total += len(name) + ((size + 1) // 2 + 1 if kind == "N" else size)
    return total


async def _fill_sqlite(path: Path, trades: int) -> None:
    store = SqliteTrades(path, _RETENTION)
    await store.open()
    for batch in Made().batches(trades, _BATCH):
        await store.add(batch)
    await store.tidy()
    await store.close()


def _sqlite(trades: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(_fill_sqlite(Path(folder) / "trades.db", trades))
        size = sum(one.stat().st_size for one in Path(folder).iterdir())
    return [Figure("SQLite: bytes of a trade", size / trades, "bytes")]


async def _postgres(trades: int) -> list[Figure]:
    if programs() is None:
        sys.stderr.write("bench: PostgreSQL is needed\n")
        return []
    server = PostgresServer("-c", "fsync=on", "-c", "max_wal_size=4GB")
    try:
        store = PostgresTrades(server.address(), PASSWORD, _RETENTION, time.time, PATIENT_SECONDS, PATIENT_SECONDS)
        await store.open()
        before = server.cpu_seconds()
        for batch in Made().batches(trades, _BATCH):
            await store.add(batch)
        cpu = server.cpu_seconds() - before
        await store.close()
        size = int(server.sql("SELECT pg_total_relation_size('trades')"))
    finally:
        server.stop()
    return [
        Figure("PostgreSQL: bytes of a trade", size / trades, "bytes"),
        Figure("PostgreSQL: CPU of an insert", cpu * 1e6 / trades, "us"),
    ]


def run(trades: int = TRADES) -> list[Figure]:
    """Measure all."""
    sample = next(Made().batches(1000, 1000))
    items = [item_bytes(item_of(one, _RETENTION)) for one in sample]
    figures = [
        Figure("DynamoDB: bytes of an item", sum(items) / len(items) + _PER_ITEM, "bytes"),
        Figure("Kinesis: bytes of a record", sum(len(encode(one)) for one in sample) / len(sample), "bytes"),
    ]
    return [*figures, *_sqlite(trades), *uvloop.run(_postgres(trades))]


if __name__ == "__main__":
    sys.stdout.write(table("units of a trade", run(*map(int, sys.argv[1:2]))) + "\n")
