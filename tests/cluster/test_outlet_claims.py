"""The keys of events in Redis: of several machines with one outlet, one sends an event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aggregator.cluster.outlet_claims import OutletClaims
from aggregator.stores.redis.client import RedisClient
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real


@asynccontextmanager
async def two(server: RedisServer, prefix: str) -> AsyncIterator[tuple[OutletClaims, OutletClaims, RedisClient]]:
    """Return the claims of two files, and a client."""
    client = RedisClient(server.url, timeout=2, prefix=prefix)
    yield OutletClaims(client, "one", 345), OutletClaims(client, "two", 345), client
    await client.close()


async def test_a_key_belongs_to_the_file_that_claims_it_first(redis_running: RedisServer) -> None:
    """A file may claim its keys again, as often as it sends; the keys of another outlet are others."""
    async with two(redis_running, "claims:") as (one, other, client):
        assert await one.taken("desk 1", ["a", "b"]) == set()
        assert await other.taken("desk 1", ["b", "c"]) == {"b"}
        assert await one.taken("desk 1", ["a", "b", "c"]) == {"c"}
        assert await other.taken("queue 2", ["a", "b"]) == set()
        left = [await client.redis.ttl(key) async for key in client.redis.scan_iter("claims:outlet_key:*")]
        assert len(left) == 5
        assert all(300 < one <= 345 for one in left)


async def test_without_redis_nothing_is_taken(redis_alone: RedisServer) -> None:
    """Outlets go on while Redis is away; what two machines have may arrive twice then."""
    async with two(redis_alone, "claims:") as (one, other, _):
        assert await one.taken("desk 1", ["a"]) == set()
        redis_alone.process.stop()
        assert await other.taken("desk 1", ["a"]) == set()
