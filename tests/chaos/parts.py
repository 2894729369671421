"""Parts of the history scenarios: a DynamoDB to kill, a record of what Redis published, its check against the table."""

import asyncio
import math
import os
import resource
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from signal import SIGKILL

import aioboto3
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aggregator.live.price_topic import PRICES
from aggregator.models import Price
from tests.parts.dynamodb import LIBRARY, QUICK_JAVA, DynamoServer, jar
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import Process, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

CHANNEL = "aggregator:prices"
ROWS = "price_outbox_rows"
# 20 hot, 180 medium and 800 cold assets at these intervals are 213 prices per second; 76 beside other tests, where
# DynamoDB Local shares two cores and a backlog may take minutes to drain.
FULL = os.environ.get("CHAOS") == "full"
LOAD = {"hot_interval": 1, "medium_interval": 3 if FULL else 8, "cold_interval": 6 if FULL else 24}
NO_BACKLOG = 100  # rows; half a second of load is in transit, not backlog
POLL = 0.2  # a scrape of a thousand assets takes milliseconds of CPU on both sides

Key = tuple[str, float]
Span = tuple[float, float]


class DurableDynamo(DynamoServer, ABC):
    """A DynamoDB that can be killed and started again on the same port, with its tables."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.stop(SIGKILL)


class ProxiedDynamo(DurableDynamo):
    """The DynamoDB at `target` behind a proxy, which is what is killed: a start takes 0.1 s of CPU instead of 5 s."""

    def __init__(self, target: str) -> None:
        self._target = target
        super().__init__()

    def start(self) -> None:
        """Start the proxy."""
        self.process = DynamoProxy(self._target, port=self.port).process


class DynamoOnDisk(DurableDynamo):
    """DynamoDB Local with its tables on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    def start(self) -> None:
        """Start it with the tables in the folder."""
        local = jar()
        assert local is not None
        options = ["-dbPath", str(self._folder), "-sharedDb", "-disableTelemetry", "-port", str(self.port)]
        command = ["java", *QUICK_JAVA, *LIBRARY, "-jar", local.name, *options]
        self.process = Process(command, cwd=local.parent)
        wait_for(self._answers, what=f"DynamoDB on port {self.port}")


@dataclass(frozen=True, slots=True)
class Publication:
    """A price that Redis published, and when it arrived here (unix seconds)."""

    price: Price
    arrived: float

    @property
    def key(self) -> Key:
        """The key of the price: asset and timestamp."""
        return self.price.asset, self.price.timestamp

    def overlaps(self, span: Span) -> bool:
        """Return whether the price may have been in transit, from its computation to its arrival, during `span`."""
        return self.price.updated_at <= span[1] and self.arrived >= span[0]


class Subscriber:
    """Records all publications from its creation on; decodes them only on request, so that it keeps up."""

    def __init__(self, url: str) -> None:
        # No retries: a new connection would hide what was published in between.
        self._redis = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._channel = self._redis.pubsub()  # type: ignore[no-untyped-call]  # redis-py has not typed it
        self._channel.subscribe(CHANNEL)
        confirmed = self._channel.get_message(timeout=5)
        assert confirmed is not None
        assert confirmed["type"] == "subscribe"
        self._raw: list[tuple[float, bytes]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self.publications())

    def publications(self) -> list[Publication]:
        """Return all publications in order; fail when the connection was lost meanwhile."""
        assert self._thread.is_alive(), "the subscriber has lost its connection"
        return [Publication(price, arrived) for arrived, raw in list(self._raw) for price in PRICES.decode(raw)]

    def close(self) -> None:
        """Stop recording."""
        self._closing.set()
        self._thread.join()
        self._channel.close()
        self._redis.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            message = self._channel.get_message(timeout=0.2)
            if message is not None:
                self._raw.append((time.time(), message["data"]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of publications with the table."""

    published: int
    doubtful: int  # not judged: in transit at a time when a price may be lost
    items: int
    lost: list[Key] = field(default_factory=list)
    wrong: list[Key] = field(default_factory=list)  # stored with another value than the last one published
    twice: int = 0  # keys that are in the table more than once
    unpublished: int = 0  # stored, but never published

    @property
    def is_complete(self) -> bool:
        """Whether the table has every price exactly once, with the published value."""
        return not (self.lost or self.wrong or self.twice)

    def __str__(self) -> str:
        doubtful = f" ({self.doubtful} in doubt)" if self.doubtful else ""
        return (
            f"published {self.published}{doubtful}, in the table {self.items} ({self.unpublished} never published),"
            f" lost {len(self.lost)}, wrong {len(self.wrong)}, twice {self.twice}"
        )


def compare(
    publications: Sequence[Publication], items: Sequence[tuple[Key, Decimal]], doubts: Sequence[Span]
) -> Comparison:
    """Compare the publications outside all `doubts` with the stored items."""
    held = dict(items)
    due: dict[Key, set[Decimal]] = {}
    doubtful: dict[Key, set[Decimal]] = {}
    for one in publications:
        if any(one.overlaps(span) for span in doubts):
            doubtful.setdefault(one.key, set()).add(one.price.price)
        else:
            due[one.key] = {one.price.price}
    return Comparison(
        published=len(publications),
        doubtful=len(doubtful),
        items=len(items),
        lost=[key for key in due if key not in held],
        wrong=[
            key for key, prices in due.items() if key in held and held[key] not in prices | doubtful.get(key, set())
        ],
        twice=len(items) - len(held),
        unpublished=len(held.keys() - due.keys() - doubtful.keys()),
    )


@dataclass(slots=True)
class HistoryTestbed:
    """The real parts around the service."""

    folder: Path
    market: Market
    redis: RedisServer
    dynamodb: DurableDynamo
    table: str
    subscriber: Subscriber

    def service(self, proxy: DynamoProxy | None = None) -> Service:
        """Start the service under load; each start here uses the outbox of the previous one."""
        database = proxy or self.dynamodb
        return Service(
            self.folder,
            exchanges=self.market.setting,
            cache_url=self.redis.url,
            redis_timeout=5,  # a price that a slow Redis does not publish cannot be checked
            history_url=database.url(self.table),
            outbox_path=self.folder / "outbox.db",
            refresh_cooldown=0,
            refresh_rate=1000,
            **LOAD,
        )

    def settled(self, service: Service, seconds: float, doubts: Sequence[Span] = ()) -> Comparison:
        """End the load, give the outbox `seconds` to drain, and compare; return the last comparison."""
        for exchange in self.market.exchanges.values():
            exchange.faults(error_rate=1)
        deadline = time.monotonic() + seconds
        while True:
            drained = service.metric(ROWS) == 0
            expired = time.monotonic() > deadline
            if drained or expired:
                # Read the table first: every price in it was published before the next line reads the publications.
                items = scan(self.dynamodb.endpoint, self.table)
                comparison = compare(self.subscriber.publications(), items, doubts)
                if comparison.is_complete or expired:
                    return comparison
            time.sleep(POLL)


def steady(service: Service) -> float:
    """Wait until the outbox has caught up after the warm-up; return the largest number of waiting rows from then on."""
    wait_for(lambda: service.metric(ROWS) <= NO_BACKLOG, what="the outbox to catch up with the first fill")
    return under_load(service, 1)


def under_load(service: Service, seconds: float) -> float:
    """Run the load for `seconds`; return the largest number of waiting rows."""
    deadline = time.monotonic() + seconds
    most = 0.0
    while time.monotonic() < deadline:
        most = max(most, service.metric(ROWS))
        time.sleep(POLL)
    return most


def seconds_until_drained(service: Service, level: float, patience: float) -> float:
    """Return the seconds until the outbox is back at `level` rows; infinite when it takes longer than `patience`."""
    started = time.monotonic()
    while time.monotonic() < started + patience:
        if service.metric(ROWS) <= max(level, NO_BACKLOG):
            return time.monotonic() - started
        time.sleep(POLL)
    return math.inf


def no_more_files(service: Service) -> None:
    """Make every file write of the running service fail, as on a full disk."""
    _limit_files(service, 0)


def files_again(service: Service) -> None:
    """Allow file writes again."""
    _limit_files(service, resource.RLIM_INFINITY)


def _limit_files(service: Service, limit: int) -> None:
    pid = service.process.child.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))


def scan(endpoint: str, table: str) -> list[tuple[Key, Decimal]]:
    """Yield key and price of every item in the table."""
    return asyncio.run(_scan(endpoint, table))


async def _scan(endpoint: str, table: str) -> list[tuple[Key, Decimal]]:
    items: list[tuple[Key, Decimal]] = []
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    session = aioboto3.Session()
    async with session.client("dynamodb", region_name="us-east-1", endpoint_url=endpoint, **credentials) as client:
        pages = client.get_paginator("scan").paginate(
            TableName=table,
            ConsistentRead=True,
            ProjectionExpression="asset, #timestamp, price",
            ExpressionAttributeNames={"#timestamp": "timestamp"},
        )
        async for page in pages:
            items += [
                ((one["asset"]["S"], float(one["timestamp"]["N"])), Decimal(one["price"]["N"])) for one in page["Items"]
            ]
    return items
