"""The four stores, opened for one test each: apart from each other by prefix, file or table."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.metrics import Metrics
from aggregator.ports import Cache, History, Store
from aggregator.stores.dynamodb import DynamoHistory
from aggregator.stores.memory import MemoryCache
from aggregator.stores.redis import RedisCache
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import CADENCE
from tests.parts.redis_server import RedisServer

TTL = {tier: cadence.ttl for tier, cadence in CADENCE.items()}


@pytest.fixture
async def memory() -> AsyncIterator[MemoryCache]:
    """Open memory://."""
    cache = MemoryCache(TTL)
    yield cache
    await cache.close()


@pytest.fixture
async def redis_cache(redis_running: RedisServer) -> AsyncIterator[RedisCache]:
    """Open redis://."""
    cache = RedisCache(redis_running.url, TTL, timeout=2, prefix=f"{uuid.uuid4()}:")
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
async def dynamodb(dynamodb_running: DynamoServer) -> AsyncIterator[DynamoHistory]:
    """Open dynamodb:// with a new table."""
    metrics = Metrics(CollectorRegistry())
    history = DynamoHistory(f"prices-{uuid.uuid4()}", "us-east-1", dynamodb_running.endpoint, metrics)
    await history.open()
    yield history
    await history.close()


REAL = pytest.mark.real
CACHES = ["memory", pytest.param("redis_cache", marks=REAL)]
HISTORIES = ["sqlite", pytest.param("dynamodb", marks=REAL)]


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest) -> Cache:
    """Each cache in turn."""
    found: Cache = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=HISTORIES)
def history(request: pytest.FixtureRequest) -> History:
    """Each history in turn."""
    found: History = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=CACHES + HISTORIES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the four in turn."""
    found: Store = request.getfixturevalue(request.param)
    return found
