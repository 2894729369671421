"""Fixtures: a refresher, and a Redis that a test may stop or empty."""

from collections.abc import AsyncIterator

import pytest

from aggregator.stores.redis.client import RedisClient
from tests.cluster.jobs.parts import INTERVAL
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import Sharer, hot_catalog


@pytest.fixture
async def sharer(redis_running: RedisServer, redis_client: RedisClient) -> AsyncIterator[Sharer]:
    """Return a refresher that does nothing by itself."""
    sharer = Sharer(redis_running.url, redis_client.prefix, hot_catalog(INTERVAL, 3), "one", abandoned=0.2)
    yield sharer
    await sharer.client.close()


@pytest.fixture
async def alone(redis_alone: RedisServer) -> AsyncIterator[RedisClient]:
    """Return a client of the Redis that the test may empty."""
    client = RedisClient(redis_alone.url, timeout=2)
    yield client
    await client.close()
