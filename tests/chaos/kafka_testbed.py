"""Three processors on a topic of six partitions, under load, and the checks of what is left of it at the end."""

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM

from confluent_kafka import Consumer, TopicPartition

from aggregator.stores.trades.sqlite import SqliteTrades
from tests.chaos.kafka_load import Load, Numbered
from tests.chaos.kafka_watch import Watch
from tests.parts import kafka
from tests.parts.kafka import Broker
from tests.parts.limits import allowed
from tests.parts.process import Process, wait_for
from tests.parts.processing import ASSETS
from tests.parts.processors import Processors
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.trades.test_features import assert_same, naive

TOPIC, PARTITIONS, PROCESSORS = "trades", 6, 3
SESSION_SECONDS = 6  # of the processors
LAG_SECONDS = 10.0  # from the end of a fault until what waits is less than a second of load
_WINDOW_SECONDS = 400.0  # of stored trades, which the last features need
_LOG_SECONDS = 0.5  # a commit may succeed before the assignment is logged
_EVENT_SECONDS = 10.0
_LOG_CHARACTERS = 2000
_ENDLESS = 1e12
_ASSIGNED = re.compile(r"^(\S+Z) .*partitions_assigned", re.MULTILINE)


class KafkaTestbed:
    """The running parts. `rate` is in trades a second, which have `speed` seconds of event time a second."""

    def __init__(self, folder: Path, broker: Broker, redis: RedisServer, rate: int, speed: int, poison: float) -> None:
        assert broker.process is not None
        self.broker: Process = broker.process
        self.folder = folder
        self.rate = rate
        self.processors = Processors(folder, broker, redis, TOPIC, f"sqlite:///{folder / 'trades.db'}")
        self.services: list[Service] = []
        self.load = Load(broker.bootstrap, TOPIC, Numbered(1_000_000 * speed // rate), rate, poison)
        self.watch = Watch(redis, self.load.numbered)
        self.lag_seconds = self.lag_after_assignment = 0.0
        self._offsets = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "aggregator", "log_level": 0})

    def start(self, number: int) -> Service:
        """Start a processor in the folder of its number, which a killed one may have left."""
        return self.processors.start_in(self.folder / f"processor{number}")

    def owned(self, services: Sequence[Service]) -> list[int]:
        """Return the number of partitions of each processor."""
        as_json = {"Accept": "application/json"}
        return [len(one.get("/health", as_json).json["partitions"]) for one in services]

    def settled(self) -> None:
        """Wait until all partitions are read."""
        wait_for(lambda: sum(self.owned(self.services)) == PARTITIONS, what="all partitions to be read")

    @property
    def behind(self) -> int:
        """The acknowledged records that are not committed."""
        wanted = [TopicPartition(TOPIC, number) for number in self.load.ends]
        found = self._offsets.committed(wanted, timeout=30)
        return sum(self.load.ends[one.partition] - max(0, one.offset) for one in found)

    def recovered(self) -> None:
        """Wait, under load, until what waits is less than a second of it; note how long that took.

        The limit holds from the last assignment of partitions: the mock cluster's rebalances take 5 s each.
        """
        began = time.time()
        self.settled()  # else a kill a moment ago has left nothing behind yet
        self._until_behind(self.rate)
        ended = time.time()
        time.sleep(_LOG_SECONDS)
        times = [text for one in self.services for text in _ASSIGNED.findall(one.process.output)]
        assigned = max(began, datetime.fromisoformat(max(times)).timestamp())
        self.lag_seconds = max(self.lag_seconds, ended - began)
        self.lag_after_assignment = max(self.lag_after_assignment, ended - assigned)

    def _until_behind(self, records: int) -> None:
        """Wait until fewer records are behind; a failure tells how far each partition and each processor is."""
        try:
            wait_for(lambda: self.behind < records)
        except AssertionError as error:
            health = [_health(one) for one in self.services]
            logs = [one.process.output[-_LOG_CHARACTERS:] for one in self.services]
            ends = sorted(self.load.ends.items())
            raise AssertionError(f"{self.behind} records behind, ends {ends}", *health, *logs) from error

    def finish(self) -> None:
        """End the load, wait until all is committed, stop the processors, check everything."""
        self.recovered()
        self.load.end()
        self._until_behind(1)
        with suppress(AssertionError):
            wait_for(lambda: not self.watch.missing(self.load.sent), _EVENT_SECONDS, "all trades to be published")
        for one in self.services:
            one.process.signal(SIGTERM)
        for one in self.services:
            assert one.process.ended() == 0, one.process.output
            assert "Traceback" not in one.process.output, one.process.output
        self._offsets.close()
        assert self.load.failures == []
        assert self.watch.wrong == []
        assert self.watch.missing(self.load.sent) == [], "trades were not published"
        asyncio.run(self._check_store())
        assert self.lag_after_assignment <= allowed(LAG_SECONDS), self.figures()

    async def _check_store(self) -> None:
        """Assert that each acknowledged trade is stored once as it was sent, and that the last windows are right."""
        store, numbered, found = SqliteTrades(self.folder / "trades.db", _ENDLESS), self.load.numbered, bytearray()
        found.extend(bytes(self.load.sent))
        await store.open()
        for asset in ASSETS:
            trades = await store.trades(asset, 0, 1e11, 10_000_000, newest_first=False)
            for one in trades:
                number = int(one.id)
                assert one == numbered.trade(number)
                assert not found[number], f"trade {number} is stored twice"
                found[number] = 1
            on_time = [one for one in trades if not one.late]
            since = on_time[-1].timestamp - _WINDOW_SECONDS
            assert_same(self.watch.features[asset], naive([one for one in on_time if one.timestamp > since]))
        await store.close()
        lost = [number for number, is_there in enumerate(found) if self.load.acknowledged[number] and not is_there]
        assert lost == [], f"{len(lost)} acknowledged trades are lost"

    def figures(self) -> str:
        """Return the figures of the run."""
        load, rate = self.load, self.load.sent / self.load.seconds
        return (
            f"{load.sent:,} trades at {rate:,.0f}/s of {self.rate:,}, each stored once;"
            f" {self.watch.repeated} published again; lag gone {self.lag_seconds:.1f} s after the fault,"
            f" {self.lag_after_assignment:.1f} s after the last assignment"
        )

    def letters(self) -> list[str]:
        """Return the sources of all dead letters of all processors."""
        found: list[str] = []
        for folder in self.processors.folders:
            connection = sqlite3.connect(folder / "dead_letters.db")
            found += [source for (source,) in connection.execute("SELECT source FROM dead_letters")]
            connection.close()
        return found


def _health(one: Service) -> str:
    """Return the health of a processor, or that it is gone."""
    try:
        return one.get("/health", {"Accept": "application/json"}).text
    except OSError as error:
        return f"{error}, exit code {one.process.child.poll()}"


@contextmanager
def running(folder: Path, redis: RedisServer, rate: int, speed: int, poison: float = 0.0) -> Iterator[KafkaTestbed]:
    """Start the parts and the load; end what is left of them."""
    with kafka.alone(TOPIC, PARTITIONS) as broker:
        testbed = KafkaTestbed(folder, broker, redis, rate, speed, poison)
        with testbed.watch:
            try:
                testbed.services += [testbed.start(number) for number in range(PROCESSORS)]
                testbed.settled()
                testbed.load.begin()
                yield testbed
            finally:
                testbed.load.abandon()
                for one in testbed.services:
                    one.process.stop(SIGKILL)
