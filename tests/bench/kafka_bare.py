"""A bare consumer for comparison: it decodes trades of a topic, keeps two windows of each asset, and stores them.

`python -m tests.bench.kafka_bare <bootstrap> <topic> <partitions> <trades> <file>` prints seconds and CPU seconds, from
the first record to the last. It has no checks, no deduplication, no commits, no order of late trades, no subscriber.
"""

import sqlite3
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from aggregator.trades.market_pb2 import MarketUpdate

_MOST = 1000  # records of a call
_SPANS = (60, 300)  # seconds
_PATIENCE = 120.0  # seconds
_INSERT = "INSERT INTO trades (asset, at, price, volume) VALUES (?, ?, ?, ?)"

Row = tuple[str, int, float, int]


class Window:
    """Sums of price x volume and of volume over the newest `seconds` of one asset."""

    def __init__(self, seconds: int) -> None:
        self._span = seconds * 1_000_000_000
        self._trades = deque[tuple[int, float, int]]()
        self._product, self._volume = 0.0, 0

    def add(self, at: int, price: float, volume: int) -> float:
        """Add a trade; return the VWAP."""
        trades = self._trades
        trades.append((at, price, volume))
        self._product += price * volume
        self._volume += volume
        while trades[0][0] <= at - self._span:
            _, old_price, old_volume = trades.popleft()
            self._product -= old_price * old_volume
            self._volume -= old_volume
        return self._product / self._volume


class Loop:
    """The loop over the records of a topic, from its beginning."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._windows: dict[str, tuple[Window, Window]] = {}
        self._latest: dict[str, tuple[float, float]] = {}
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("CREATE TABLE trades (asset TEXT, at INTEGER, price REAL, volume INTEGER)")

    def run(self, consumer: Consumer, trades: int) -> tuple[float, float]:
        """Take so many trades; return seconds and CPU seconds. Raises TimeoutError."""
        done, started, cpu = 0, time.perf_counter(), time.process_time()
        deadline = started + _PATIENCE
        while done < trades:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"only {done} of {trades} trades came")
            messages = consumer.consume(_MOST, 0.05)
            if messages and not done:
                started, cpu = time.perf_counter(), time.process_time()
            self._store([self._row(message.value()) for message in messages if message.error() is None])
            done += len(messages)
        return time.perf_counter() - started, time.process_time() - cpu

    def _row(self, value: bytes) -> Row:
        update = MarketUpdate.FromString(value)
        asset, at, price, volume = update.ticker, update.timestamp_ns, update.price, update.volume
        windows = self._windows.get(asset)
        if windows is None:
            windows = self._windows[asset] = Window(_SPANS[0]), Window(_SPANS[1])
        self._latest[asset] = windows[0].add(at, price, volume), windows[1].add(at, price, volume)
        return asset, at, price, volume

    def _store(self, rows: Sequence[Row]) -> None:
        if rows:
            self._file.executemany(_INSERT, rows)
            self._file.commit()


def main(bootstrap: str, topic: str, partitions: str, trades: str, path: str) -> None:
    """Run the loop over all partitions."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", "fetch.queue.backoff.ms": 5})
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(int(partitions))])
    with closing(sqlite3.connect(path)) as file:
        seconds, cpu = Loop(file).run(consumer, int(trades))
    consumer.close()
    sys.stdout.write(f"took {seconds:.6f} {cpu:.6f}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
