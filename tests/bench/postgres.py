"""Inserts of trades into PostgreSQL, against COPY of the same rows: `./test.sh bench postgres`.

The store and COPY take turns, each with a table of its own and the same primary key, in a server that the bench
starts, with fsync. The store also finds which trades are new. There are two comparisons: COPY by the driver, from the
same Python values, and COPY of text that is ready to be sent, which costs the client nothing.
"""

import asyncio
import io
import random
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import uvloop

from aggregator.models import Side, Trade
from aggregator.stores.postgres.connections import Connections
from aggregator.stores.trades.postgres_table import PostgresTrades
from tests.bench.report import Figure, median_ratio, table
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer, programs

ASSETS = 1000
ROUNDS = 10
BATCHES = (500, 2000, 5000)
TRADES = 20_000  # of a round of each
RATE = 15_000  # trades a second
_BATCH_SECONDS = 0.1
_PACED_SECONDS = 20
_RETENTION = 172_800.0
_COPY_TABLE = "CREATE TABLE {} (LIKE trades INCLUDING ALL)"

Write = Callable[[Sequence[Trade]], Coroutine[None, None, None]]


class Made:
    """Makes trades of random assets, in order of time; no two have the same key."""

    def __init__(self, first: int = 0) -> None:
        self._random = random.Random(1)
        self._number = first

    def batches(self, trades: int, size: int) -> Iterator[list[Trade]]:
        """Yield batches of `size`, together `trades`."""
        for _ in range(trades // size):
            yield [self._trade() for _ in range(size)]

    def _trade(self) -> Trade:
        self._number += 1
        chance = self._random
        price = Decimal(chance.randrange(10**6, 10**8)).scaleb(-3)
        volume = Decimal(chance.randrange(1, 10**8)).scaleb(-6)
        asset, moment = f"asset{chance.randrange(ASSETS)}", round(1_790_000_000 + self._number / RATE, 6)
        number = 400_000_000 + self._number
        return Trade(asset, price, volume, moment, "coinbase", str(number), chance.choice(list(Side)), number)


def _record(trade: Trade) -> tuple[object, ...]:
    return (
        trade.asset,
        trade.timestamp,
        trade.venue,
        trade.id,
        trade.price,
        trade.volume,
        trade.side,
        trade.sequence,
        trade.late,
    )


def _text(trades: Sequence[Trade]) -> bytes:
    """Return rows in COPY's form of text."""
    rows = ((*_record(one)[:1], datetime.fromtimestamp(one.timestamp, UTC), *_record(one)[2:]) for one in trades)
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


async def _spent(write: Callable[[], Coroutine[None, None, object]]) -> tuple[float, float]:
    """Return the elapsed time and the CPU time of this process, in seconds."""
    started, cpu = time.perf_counter(), time.process_time()
    await write()
    return time.perf_counter() - started, time.process_time() - cpu


async def _rates(store: PostgresTrades, connections: Connections, rounds: int, trades: int) -> list[Figure]:
    """Return the rate of the store, as a share of COPY's, for each size of a batch."""
    figures = []
    made = Made()
    async with connections.one() as copying:
        for name in ("by_driver", "as_text"):
            await copying.execute(_COPY_TABLE.format(name))
        for size in BATCHES:
            ours, driver, text = list[float](), list[float](), list[float]()
            cpu = 0.0
            for _ in range(rounds):
                batches = list(made.batches(trades, size))
                ready = [_text(one) for one in batches]

                async def add(batches: Sequence[Sequence[Trade]] = batches) -> None:
                    for one in batches:
                        assert len(await store.add(one)) == len(one)

                async def copy_records(batches: Sequence[Sequence[Trade]] = batches) -> None:
                    for one in batches:
                        await copying.copy_records_to_table("by_driver", records=list(map(_record, one)))

                async def copy_text(ready: Sequence[bytes] = ready) -> None:
                    for one in ready:
                        await copying.copy_to_table("as_text", source=io.BytesIO(one))

                seconds, spent = await _spent(add)
                ours.append(seconds)
                cpu += spent
                driver.append((await _spent(copy_records))[0])
                text.append((await _spent(copy_text))[0])
            figures += [
                Figure(f"trades inserted in batches of {size:,}", trades / statistics.median(ours), "/s"),
                Figure("  CPU of this process", cpu * 1e6 / (rounds * trades), "us"),
                Figure("  rate / that of COPY by the driver", median_ratio(driver, ours), "", ">= 0.7"),
                Figure("  rate / that of COPY of text that is ready", median_ratio(text, ours)),
            ]
    return figures


async def _paced(store: PostgresTrades, seconds: float) -> list[Figure]:
    """Return the latencies of batches at a fixed rate."""
    took = list[float]()
    batches = list(Made(10_000_000).batches(int(RATE * seconds), int(RATE * _BATCH_SECONDS)))
    started = time.perf_counter()
    for number, one in enumerate(batches):
        due = started + number * _BATCH_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await store.add(one)
        took.append(time.perf_counter() - due)
    took.sort()
    return [
        Figure(f"batch of {len(batches[0]):,} at {RATE:,} trades a second, p50", took[len(took) // 2] * 1000, "ms"),
        Figure("  p99", took[len(took) * 99 // 100] * 1000, "ms", "<= 100"),
    ]


async def _figures(server: PostgresServer, rounds: int, trades: int, seconds: float) -> list[Figure]:
    store = PostgresTrades(server.address(), PASSWORD, _RETENTION, time.time, PATIENT_SECONDS, PATIENT_SECONDS)
    connections = Connections(server.address(), PASSWORD, 1, 3600)
    await store.open()
    try:
        return [*await _rates(store, connections, rounds, trades), *await _paced(store, seconds)]
    finally:
        await store.close()
        await connections.close()


def run(rounds: int = ROUNDS, trades: int = TRADES, seconds: float = _PACED_SECONDS) -> list[Figure]:
    """Measure rates and latencies."""
    if programs() is None:
        sys.stderr.write("bench: PostgreSQL is needed\n")
        return []
    server = PostgresServer("-c", "fsync=on", "-c", "max_wal_size=4GB")
    try:
        return uvloop.run(_figures(server, rounds, trades, seconds))
    finally:
        server.stop()


if __name__ == "__main__":
    sys.stdout.write(table("postgres", run(*map(int, sys.argv[1:]))) + "\n")
