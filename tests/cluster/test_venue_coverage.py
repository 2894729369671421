"""What refreshers tell those who ask no exchange of where assets are traded. On a real Redis."""

import pytest

from aggregator.cluster.venue_coverage import CoverageListener, CoverageReporter
from aggregator.errors import StoreUnavailable
from aggregator.prices.freshness import VenueCoverage
from aggregator.stores.redis.client import RedisClient
from tests.parts.ports import free_port
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real


def known(need: int = 2, **venues: int) -> VenueCoverage:
    """Return what a refresher has counted."""
    coverage = VenueCoverage()
    coverage.replace(venues, need)
    return coverage


async def test_what_one_tells_another_knows(redis_client: RedisClient) -> None:
    """How many trade each asset, and of which there can be no price; nothing before the first word."""
    heard = VenueCoverage()
    listener = CoverageListener(redis_client, heard)
    await listener.hear()
    assert (heard.venues, heard.counts) == ({}, 0)
    await CoverageReporter(redis_client, known(btcusdt=3, newcoin=1)).report()
    await listener.hear()
    assert (heard.venues, heard.need) == ({"btcusdt": 3, "newcoin": 1}, 2)
    assert heard.too_few == {"newcoin"}


async def test_news_are_told_and_heard_by_themselves(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that was read again, and what Redis has forgotten."""
    monkeypatch.setattr("aggregator.cluster.venue_coverage._SECONDS", 0.01)
    monkeypatch.setattr("aggregator.cluster.venue_coverage._AGAIN", 0.05)
    told, heard = known(newcoin=1), VenueCoverage()
    async with running(CoverageReporter(redis_client, told).run, CoverageListener(redis_client, heard).run):
        await until(lambda: heard.venues == {"newcoin": 1})
        told.replace({"newcoin": 2}, 2)
        await until(lambda: heard.venues == {"newcoin": 2} and not heard.too_few)
        await redis_client.redis.delete(f"{redis_client.prefix}venues")
        late = VenueCoverage()
        async with running(CoverageListener(redis_client, late).run):
            await until(lambda: late.venues == {"newcoin": 2})


async def test_the_same_is_not_taken_twice(redis_client: RedisClient) -> None:
    """Of many assets it is long, so only its digest is read until it changes."""
    heard = VenueCoverage()
    teller, listener = CoverageReporter(redis_client, known(btcusdt=3)), CoverageListener(redis_client, heard)
    for _ in range(2):
        await teller.report()
        await listener.hear()
    assert heard.counts == 1


async def test_what_cannot_be_read_changes_nothing(redis_client: RedisClient) -> None:
    """Somebody else's, or another version's."""
    heard = known(btcusdt=3)
    await redis_client.redis.hset(f"{redis_client.prefix}venues", mapping={"said": "no", "digest": "other"})
    await CoverageListener(redis_client, heard).hear()
    assert heard.venues == {"btcusdt": 3}


async def test_without_redis() -> None:
    """One error of our own."""
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0", 0.2)
    with pytest.raises(StoreUnavailable):
        await CoverageListener(client, VenueCoverage()).hear()
    with pytest.raises(StoreUnavailable):
        await CoverageReporter(client, VenueCoverage()).report()
    await client.close()
