"""The four stores, opened for one test each, with a prefix, file or table of their own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Price
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.ports import Cache, History, Store
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.memory import MemoryCache
from aggregator.stores.outbox import Outbox
from aggregator.stores.postgres.table import PostgresTable
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.sqlite import SqliteHistory
from tests.parts import postgres
from tests.parts.clock import Clock
from tests.parts.dynamodb import PATIENT_SECONDS, DynamoServer
from tests.parts.examples import CADENCE, NOW
from tests.parts.postgres import PostgresServer

TTL = {tier: cadence.ttl for tier, cadence in CADENCE.items()}


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still; a test moves it."""
    return Clock(NOW)


@pytest.fixture
async def memory() -> AsyncIterator[MemoryCache]:
    """Open memory://."""
    cache = MemoryCache(NewestPrices(TTL), Bus([PRICES]))
    yield cache
    await cache.close()


@pytest.fixture
async def redis_cache(redis_client: RedisClient) -> AsyncIterator[RedisCache]:
    """Open redis://."""
    cache = RedisCache(redis_client, TTL)
    yield cache
    await cache.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    """Open sqlite://."""
    history = SqliteHistory(tmp_path / "prices.db")
    await history.open()
    yield history
    await history.close()


@pytest.fixture
async def table(dynamodb_running: DynamoServer) -> AsyncIterator[DynamoTable]:
    """Open a new table, whose reads wait for however slow DynamoDB Local is."""
    metrics = Metrics(CollectorRegistry())
    table = DynamoTable(
        f"prices-{uuid.uuid4()}", "us-east-1", dynamodb_running.endpoint, metrics, query_seconds=PATIENT_SECONDS
    )
    await table.open()
    yield table
    await table.close()


@pytest.fixture
async def waiting(table: DynamoTable, tmp_path: Path) -> AsyncIterator[Outbox]:
    """Open dynamodb:// with a new table and an outbox that sends nothing."""
    outbox = Outbox(tmp_path / "outbox.db", 1 << 30, table, table._metrics)
    await outbox.open()
    yield outbox
    await outbox.close()


@pytest.fixture
async def dynamodb(waiting: Outbox) -> AsyncIterator[Outbox]:
    """Open dynamodb:// as the service does: the outbox sends prices to the table."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(waiting.run())
        yield waiting
        running.cancel()


class Drained:
    """A history whose `write` waits until the outbox has sent everything, so that reads come from the table."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.latest, self.between, self.ping = history.latest, history.between, history.ping
        self.run, self.drain, self.close = history.run, history.drain, history.close

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`."""
        await self._history.write(prices)
        assert await self._history.drain(60) == 0


@pytest.fixture
async def drained(dynamodb: Outbox) -> Drained:
    """Open dynamodb:// so that each read finds everything in the table."""
    return Drained(dynamodb)


@pytest.fixture
async def postgres_table(postgres_running: PostgresServer) -> AsyncIterator[PostgresTable]:
    """Open the table in a new database; its reads wait for however busy the machine is."""
    address, patience = postgres_running.address(postgres_running.new_database()), postgres.PATIENT_SECONDS
    table = PostgresTable(address, postgres.PASSWORD, read_seconds=patience, write_seconds=patience)
    await table.open()
    yield table
    await table.close()


@pytest.fixture
async def postgres_waiting(postgres_table: PostgresTable, tmp_path: Path) -> AsyncIterator[Outbox]:
    """Open postgresql:// with an outbox that sends nothing."""
    outbox = Outbox(tmp_path / "outbox.db", 1 << 30, postgres_table, Metrics(CollectorRegistry()))
    await outbox.open()
    yield outbox
    await outbox.close()


@pytest.fixture
async def postgresql(postgres_waiting: Outbox) -> AsyncIterator[Outbox]:
    """Open postgresql:// as the service does: the outbox sends prices to the table."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(postgres_waiting.run())
        yield postgres_waiting
        running.cancel()


@pytest.fixture
async def postgres_drained(postgresql: Outbox) -> Drained:
    """Open postgresql:// so that each read finds everything in the table."""
    return Drained(postgresql)


REAL = pytest.mark.real
CACHES = ["memory", pytest.param("redis_cache", marks=REAL)]
HISTORIES = [
    "sqlite",
    pytest.param("waiting", marks=REAL),
    pytest.param("dynamodb", marks=REAL),
    pytest.param("drained", marks=REAL),
    pytest.param("postgres_waiting", marks=REAL),
    pytest.param("postgresql", marks=REAL),
    pytest.param("postgres_drained", marks=REAL),
]


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest) -> Cache:
    """Return each cache in turn."""
    found: Cache = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=HISTORIES)
def history(request: pytest.FixtureRequest) -> History:
    """Return each history in turn."""
    found: History = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=CACHES + HISTORIES)
def store(request: pytest.FixtureRequest) -> Store:
    """Return each store in turn; DynamoDB with an outbox that sends, and with one that does not."""
    found: Store = request.getfixturevalue(request.param)
    return found
