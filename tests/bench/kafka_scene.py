"""A broker, a Redis, topics filled with protobuf trades, and processors, as the benches of Kafka use them.

A processor is a process of the role `processor` with everything on: checks, deduplication, windows of 1,000 assets,
SQLite, and the topics trades and features through Redis, where one subscriber takes all features.
"""

import os
import random
import re
import socket
import sqlite3
import sys
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import accumulate
from pathlib import Path

import msgspec

from aggregator.live.topics import T, Topic
from aggregator.stores.trades.blocks import decode_trades
from aggregator.trades.market_pb2 import MarketUpdate
from tests.bench.scene import metrics_of, scene
from tests.bench.trade_generator import assets
from tests.parts import kafka
from tests.parts.kafka import Broker
from tests.parts.process import Process, wait_for
from tests.parts.processors import lag
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

PARTITIONS = 6
SECONDS = 600.0  # of event time: the windows are full for the second half
_TICKS = os.sysconf("SC_CLK_TCK")
_LIBRARY = "rdk:"  # begins the names of librdkafka's threads
_MESSAGE = re.compile(rb"\$(\d+)\r\n(?=\[)")  # of Redis, whose data is a JSON array
_MOST_SECONDS = 300.0
_QUIXSTREAMS = Path(__file__).parents[2] / ".venv-quixstreams/bin/python"
_START_LOOK_SECONDS = 0.05
_LOOK_SECONDS = 0.5  # a look takes milliseconds of the processor's CPU


class Run(msgspec.Struct, frozen=True):
    """The time of a run over some trades, and the CPU time of its process, in seconds."""

    trades: int
    seconds: float
    cpu: float
    library: float = 0.0
    """The part of `cpu` of librdkafka's threads."""

    @property
    def rate(self) -> float:
        """Trades a second."""
        return self.trades / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of a trade in us."""
        return 1e6 * self.cpu / self.trades

    @property
    def library_us(self) -> float:
        """CPU time of a trade in librdkafka's threads in us."""
        return 1e6 * self.library / self.trades


class KafkaScene:
    """The parts, which are closed together."""

    def __init__(self, stack: ExitStack, folder: Path, broker: Broker, redis: RedisServer) -> None:
        self.stack = stack
        self.folder = folder
        self.broker = broker
        self.redis = redis

    def filled(self, trades: int, seconds: float = SECONDS) -> str:
        """Return a topic with trades of 1,000 assets in turn, of the last `seconds`."""
        topic = self.broker.topic(PARTITIONS)
        self.fill(topic, trades, time.time() - seconds - 5, seconds / trades)
        return topic

    def fill(self, topic: str, trades: int, start: float, step: float) -> None:
        """Add trades to a topic, one each `step` seconds of event time from `start` on."""
        names, chosen = assets(), random.Random(1)  # prices, not secrets
        start_ns, step_ns = int(start * 1e9), int(step * 1e9)

        def records() -> Iterator[tuple[str, bytes]]:
            for number in range(trades):
                asset = names[number % len(names)]
                price, volume = round(chosen.uniform(1, 70_000), 2), chosen.randint(1, 900)
                at = start_ns + number * step_ns
                update = MarketUpdate(ticker=asset, price=price, volume=volume, timestamp_ns=at)
                yield asset, update.SerializeToString()

        self.broker.produce(topic, records(), **{"queue.buffering.max.messages": 1_000_000})

    def bare(self, topic: str, trades: int) -> Run:
        """Run the bare loop over a topic."""
        words = [self.broker.bootstrap, topic, str(PARTITIONS), str(trades), str(self.folder / f"{uuid.uuid4()}.db")]
        process = Process([sys.executable, "-m", "tests.bench.kafka_bare", *words])
        try:
            found = process.wait_for_line(r"took ([\d.]+) ([\d.]+)\n", _MOST_SECONDS)
        finally:
            process.stop()
        return Run(trades, float(found[1]), float(found[2]))

    def quixstreams(self, topic: str, trades: int) -> Run | None:
        """Run the peer over a topic; None without its environment."""
        if not _QUIXSTREAMS.exists():
            return None
        script = Path(__file__).with_name("kafka_quixstreams.py")
        words = [self.broker.bootstrap, topic, str(trades), str(self.folder / str(uuid.uuid4()))]
        process = Process([str(_QUIXSTREAMS), str(script), *words])
        try:
            found = process.wait_for_line(r"took ([\d.]+) ([\d.]+)\n", _MOST_SECONDS)
        finally:
            process.stop()
        return Run(trades, float(found[1]), float(found[2]))

    def processor(self, topic: str, folder: str = "", group: str = "") -> "TimedProcessor":
        """Start a processor: in a new group, unless one is named, with files of its own, unless a folder is named."""
        where = self.folder / (folder or str(uuid.uuid4()))
        where.mkdir(exist_ok=True)
        url = self.broker.url(topic, format="protobuf", group=group or str(uuid.uuid4()))
        service = Service(where, role="processor", cache_url=self.redis.url, trades_log=url)
        self.stack.callback(service.process.stop)
        return TimedProcessor(service, where)

    def slow_processor(self, topic: str, group: str) -> Process:
        """Start a processor with a slow operator."""
        url = self.broker.url(topic, format="protobuf", group=group, rebalance="eager")
        process = Process(
            [sys.executable, "-m", "tests.bench.kafka_slow", url, str(self.folder / f"{uuid.uuid4()}.db")]
        )
        self.stack.callback(process.stop)
        return process


class TimedProcessor:
    """A processor whose time and CPU time are measured, all threads together."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service.started()
        self.folder = folder

    def cpu(self, threads: str = "") -> float:
        """Return the CPU seconds so far of the threads whose names begin so."""
        tasks = Path(f"/proc/{self.service.process.child.pid}/task")
        stats = [(one / "stat").read_text(encoding="utf-8").rpartition(")") for one in tasks.iterdir()]
        fields = [rest.split() for head, _, rest in stats if head.partition("(")[2].startswith(threads)]
        return sum(int(one[11]) + int(one[12]) for one in fields) / _TICKS

    def assigned(self) -> None:
        """Wait until the partitions have come."""
        self.service.process.wait_for_line("partitions_assigned.*[0-9]]")

    def took(self, trades: int) -> Run:
        """Wait until so many trades, all new, are processed; return the time from the assignment of partitions."""
        self.assigned()
        return self._until_caught_up(trades, self._now())

    def took_after_start(self, trades: int) -> Run:
        """As `took`, but without the start, in which the store is asked for earlier trades of each asset.

        The time begins when the first of the trades are seen to be processed.
        """
        self.assigned()
        deadline = time.perf_counter() + _MOST_SECONDS
        while (left := lag(self.service)) in (None, trades):
            assert time.perf_counter() < deadline, "no trade is processed"
            time.sleep(_START_LOOK_SECONDS)
        return self._until_caught_up(left or trades, self._now())

    def _until_caught_up(self, trades: int, since: tuple[float, float, float]) -> Run:
        while lag(self.service) != 0:
            assert time.perf_counter() < since[0] + _MOST_SECONDS, "the processor has not caught up"
            time.sleep(_LOOK_SECONDS)
        return Run(trades, *(now - before for now, before in zip(self._now(), since, strict=True)))

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self.cpu(), self.cpu(_LIBRARY)

    @property
    def ingested(self) -> int:
        """The number of trades that were new."""
        return int(metrics_of(self.service).get('trades_ingested_total{source="kafka"}', 0))

    def stages(self) -> dict[str, float]:
        """Return the seconds of each stage so far."""
        return {
            name.partition('"')[2].rstrip('"}'): value
            for name, value in metrics_of(self.service).items()
            if name.startswith("trades_stage_seconds_total")
        }


class Subscriber:
    """A subscriber to a topic's channel of Redis that reads all messages; with `keep`, it keeps them."""

    def __init__(self, redis: RedisServer, topic: str, *, keep: bool = False) -> None:
        self._keep = keep
        self.parts: list[tuple[float, bytes]] = []
        self.size = 0
        self._wire = socket.create_connection(("127.0.0.1", redis.port))
        self._wire.sendall(b"PSUBSCRIBE *%b\r\n" % topic.encode())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        wait_for(lambda: self.size > 0, what="the confirmation of a subscription")

    def _read(self) -> None:
        with suppress(OSError):  # `stop` ends it
            while data := self._wire.recv(1 << 20):
                self.size += len(data)
                if self._keep:
                    self.parts.append((time.time(), data))

    def messages(self, topic: Topic[T]) -> Iterator[tuple[float, list[T]]]:
        """Yield when each message came, and its values. Only with `keep`, and after `stop`."""
        whole = b"".join(data for _, data in self.parts)
        ends = list(accumulate(len(data) for _, data in self.parts))
        for match in _MESSAGE.finditer(whole):
            end = match.end() + int(match[1])
            yield self.parts[bisect_left(ends, end)][0], topic.decode(whole[match.end() : end])

    def stop(self) -> None:
        """Read no more."""
        with suppress(OSError):  # the connection has ended before
            self._wire.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._wire.close()


class JournalReader:
    """Notes when a processor's SQLite file has each row of trades: looks at it every millisecond."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_ending = False
        self.rows: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as file:
            last = 0
            while not self._is_ending:
                for row, body in file.execute("SELECT id, body FROM journal WHERE id > ? ORDER BY id", (last,)):
                    self.rows.append((time.time(), body))
                    last = row
                time.sleep(0.001)

    def delays(self) -> list[float]:
        """Look no more; return the seconds from the time of each trade to its row."""
        self._is_ending = True
        self._thread.join()
        return [at - trade.timestamp for at, body in self.rows for trade in decode_trades(body)]


@contextmanager
def kafka_scene() -> Iterator[KafkaScene]:
    """Open a broker and a Redis with a subscriber to all features."""
    with kafka.running() as broker, scene() as parts, ExitStack() as stack:
        redis = parts.redis()
        stack.callback(Subscriber(redis, "features").stop)
        yield KafkaScene(stack, parts.folder, broker, redis)
