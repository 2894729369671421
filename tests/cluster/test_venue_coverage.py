"""The coverage that refreshers write for processes without exchanges, on a real Redis."""

import pytest

from aggregator.cluster.venue_coverage import CoverageListener, CoverageReporter
from aggregator.errors import StoreUnavailable
from aggregator.prices.freshness import VenueCoverage
from aggregator.stores.redis.client import RedisClient
from tests.parts.ports import free_port
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real


def known(need: int = 2, **venues: int) -> VenueCoverage:
    """Return a refresher's coverage."""
    coverage = VenueCoverage()
    coverage.replace(venues, need)
    return coverage


async def test_a_written_coverage_is_read(redis_client: RedisClient) -> None:
    """How many venues trade each asset, and which assets can have no price; nothing before the first write."""
    read = VenueCoverage()
    listener = CoverageListener(redis_client, read)
    await listener.read()
    assert (read.venues, read.counts) == ({}, 0)
    await CoverageReporter(redis_client, known(btcusdt=3, newcoin=1)).report()
    await listener.read()
    assert (read.venues, read.need) == ({"btcusdt": 3, "newcoin": 1}, 2)
    assert read.too_few == {"newcoin"}


async def test_changes_are_written_and_read_periodically(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a listing was read again, and after Redis has lost the hash."""
    monkeypatch.setattr("aggregator.cluster.venue_coverage._SECONDS", 0.01)
    monkeypatch.setattr("aggregator.cluster.venue_coverage._REWRITE_SECONDS", 0.05)
    written, read = known(newcoin=1), VenueCoverage()
    async with running(CoverageReporter(redis_client, written).run, CoverageListener(redis_client, read).run):
        await until(lambda: read.venues == {"newcoin": 1})
        written.replace({"newcoin": 2}, 2)
        await until(lambda: read.venues == {"newcoin": 2} and not read.too_few)
        await redis_client.redis.delete(f"{redis_client.prefix}venues")
        late = VenueCoverage()
        async with running(CoverageListener(redis_client, late).run):
            await until(lambda: late.venues == {"newcoin": 2})


async def test_an_unchanged_coverage_is_not_read_twice(redis_client: RedisClient) -> None:
    """It may be long, so only the digest is read until it changes."""
    read = VenueCoverage()
    teller, listener = CoverageReporter(redis_client, known(btcusdt=3)), CoverageListener(redis_client, read)
    for _ in range(2):
        await teller.report()
        await listener.read()
    assert read.counts == 1


async def test_an_unreadable_coverage_changes_nothing(redis_client: RedisClient) -> None:
    """Of another writer, or of another version."""
    read = known(btcusdt=3)
    await redis_client.redis.hset(f"{redis_client.prefix}venues", mapping={"said": "no", "digest": "other"})
    await CoverageListener(redis_client, read).read()
    assert read.venues == {"btcusdt": 3}


async def test_without_redis() -> None:
    """Reads and writes raise StoreUnavailable."""
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0", 0.2)
    with pytest.raises(StoreUnavailable):
        await CoverageListener(client, VenueCoverage()).read()
    with pytest.raises(StoreUnavailable):
        await CoverageReporter(client, VenueCoverage()).report()
    await client.close()
