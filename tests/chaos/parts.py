"""What the scenarios share: a DynamoDB to kill, what Redis published, and what the table holds of it."""

import asyncio
import math
import resource
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from signal import SIGKILL

import aioboto3
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aggregator.models import Price, decode_prices
from tests.parts.dynamodb import DynamoServer, jar
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import Process, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

CHANNEL = "aggregator:prices"
ROWS = "price_outbox_rows"
LOAD = {"hot_interval": 1, "medium_interval": 3, "cold_interval": 6}  # with 20, 180 and 800 assets: 213 prices/s
NO_BACKLOG = 100  # rows; what half a second of the load brings is on its way, not behind
POLL = 0.05
QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m")  # starts twice as fast on half the processor

Key = tuple[str, float]
Span = tuple[float, float]


class DurableDynamo(DynamoServer):
    """DynamoDB Local with its tables in a folder, so that it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it on what the folder holds."""
        local = jar()
        assert local is not None
        options = ["-dbPath", str(self._folder), "-sharedDb", "-disableTelemetry", "-port", str(self.port)]
        command = ["java", *QUICK_JAVA, "-Djava.library.path=./DynamoDBLocal_lib", "-jar", local.name, *options]
        self.process = Process(command, cwd=local.parent)
        wait_for(self._answers, what=f"DynamoDB on port {self.port}")

    def kill(self) -> None:
        """End it without a word (kill -9)."""
        self.process.stop(SIGKILL)


@dataclass(frozen=True, slots=True)
class Publication:
    """A price Redis published, and when it was here (unix seconds)."""

    price: Price
    arrived: float

    @property
    def key(self) -> Key:
        """What the price is known by."""
        return self.price.asset, self.price.timestamp

    def overlaps(self, span: Span) -> bool:
        """Tell whether it may have been under way, from being computed to being here, during `span`."""
        return self.price.updated_at <= span[1] and self.arrived >= span[0]


class Subscriber:
    """Records all that Redis publishes from the moment it is made; decodes nothing until asked, to stay in time."""

    def __init__(self, url: str) -> None:
        # No retries: a connection made anew would hide what was published in between.
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
        """Return all of them, in order. Fails when it has not been listening all the time."""
        assert self._thread.is_alive(), "the subscriber has lost its connection"
        return [Publication(price, arrived) for arrived, raw in list(self._raw) for price in decode_prices(raw)]

    def close(self) -> None:
        """Stop listening."""
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
class Tally:
    """What was published against what the table holds."""

    published: int
    doubtful: int  # not counted: under way while it could be lost
    items: int
    lost: list[Key] = field(default_factory=list)
    wrong: list[Key] = field(default_factory=list)  # held with a price that was not the last published
    twice: int = 0  # keys the table holds more than once
    unpublished: int = 0  # held, but never published

    @property
    def sound(self) -> bool:
        """Whether the table holds all it must, once, and as it was."""
        return not (self.lost or self.wrong or self.twice)

    def __str__(self) -> str:
        doubtful = f" ({self.doubtful} in doubt)" if self.doubtful else ""
        return (
            f"published {self.published}{doubtful}, in the table {self.items} ({self.unpublished} never published),"
            f" lost {len(self.lost)}, wrong {len(self.wrong)}, twice {self.twice}"
        )


def compare(publications: Sequence[Publication], items: Sequence[tuple[Key, Decimal]], doubts: Sequence[Span]) -> Tally:
    """Count what was published for sure, outside of all `doubts`, and is not in the table as last published."""
    held = dict(items)
    due: dict[Key, set[Decimal]] = {}
    doubtful: dict[Key, set[Decimal]] = {}
    for one in publications:
        if any(one.overlaps(span) for span in doubts):
            doubtful.setdefault(one.key, set()).add(one.price.price)
        else:
            due[one.key] = {one.price.price}
    return Tally(
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
class Scene:
    """The real parts around the service."""

    folder: Path
    market: Market
    redis: RedisServer
    dynamodb: DurableDynamo
    table: str
    subscriber: Subscriber

    def service(self, proxy: DynamoProxy | None = None) -> Service:
        """Start the service under full load; each one started here finds the outbox of the one before."""
        database = proxy or self.dynamodb
        return Service(
            self.folder,
            exchanges=self.market.setting,
            cache_url=self.redis.url,
            redis_timeout=5,  # what Redis is too slow for is not published, and is no loss we could see
            history_url=database.url(self.table),
            outbox_path=self.folder / "outbox.db",
            refresh_cooldown=0,
            refresh_rate=1000,
            **LOAD,
        )

    def settled(self, service: Service, seconds: float, doubts: Sequence[Span] = ()) -> Tally:
        """End the load, give the outbox `seconds` to drain, and count; the last count when it stays unsound."""
        for exchange in self.market.exchanges.values():
            exchange.faults(error_rate=1)
        deadline = time.monotonic() + seconds
        while True:
            drained = service.metric(ROWS) == 0
            expired = time.monotonic() > deadline
            if drained or expired:
                # The table first: what it holds by then is published before the next line asks for that.
                items = scan(self.dynamodb.endpoint, self.table)
                tally = compare(self.subscriber.publications(), items, doubts)
                if tally.sound or expired:
                    return tally
            time.sleep(POLL)


def steady(service: Service) -> float:
    """Wait until the outbox has caught up with the first fill; return the most rows it holds from then on."""
    wait_for(lambda: service.metric(ROWS) <= NO_BACKLOG, what="the outbox to catch up with the first fill")
    return under_load(service, 1)


def under_load(service: Service, seconds: float) -> float:
    """Let the load run for so long; return the most rows the outbox held meanwhile."""
    deadline = time.monotonic() + seconds
    most = 0.0
    while time.monotonic() < deadline:
        most = max(most, service.metric(ROWS))
        time.sleep(POLL)
    return most


def seconds_until_drained(service: Service, level: float, patience: float) -> float:
    """Measure how long the outbox takes to be back at `level` rows; infinite when longer than `patience`."""
    started = time.monotonic()
    while time.monotonic() < started + patience:
        if service.metric(ROWS) <= max(level, NO_BACKLOG):
            return time.monotonic() - started
        time.sleep(POLL)
    return math.inf


def no_more_files(service: Service) -> None:
    """Make every write of the running service to a file fail, as on a full disk."""
    _limit_files(service, 0)


def files_again(service: Service) -> None:
    """Let it write files again."""
    _limit_files(service, resource.RLIM_INFINITY)


def _limit_files(service: Service, limit: int) -> None:
    pid = service.process.child.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))


def scan(endpoint: str, table: str) -> list[tuple[Key, Decimal]]:
    """Read key and price of every item of the table."""
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
