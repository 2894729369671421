"""Ranking by popularity: slots change assets, one ranking serves all processes, and no due time is lost."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.cluster.popularity_scores import RedisScores
from aggregator.errors import StoreUnavailable
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.popularity import reassigned, rerank
from aggregator.prices.ranking import HALF_LIFE, AccessCounts, LocalScores, Ranking, Scores
from aggregator.prices.schedule import TierSchedule
from aggregator.prices.tiers import Catalog, assign
from aggregator.stores.redis.client import RedisClient
from tests.parts.examples import CADENCE
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.ports import free_port
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service

SYMBOLS = [f"s{number}" for number in range(12)]


def listed() -> Catalog:
    """Return a catalog of twelve assets: two hot, three medium, seven cold."""
    return assign([(symbol, "", "") for symbol in SYMBOLS], 2, 3, CADENCE)


def ranking(catalog: Catalog, scores: Scores, *pinned: str) -> tuple[Ranking, AccessCounts]:
    """Return a ranking of the catalog with a very short interval, and its access counter."""
    metrics = Metrics(CollectorRegistry())
    accesses = AccessCounts(metrics, by_symbol=True)
    return Ranking(catalog, accesses, scores, pinned, 0.02, metrics), accesses


def asked(accesses: AccessCounts, catalog: Catalog, **counts: int) -> None:
    """Record reads of the assets."""
    for symbol, count in counts.items():
        for _ in range(count):
            accesses.record(catalog.assets[symbol])


async def ranked(*rankings: Ranking, until: Catalog, symbol: str, tier: Tier) -> None:
    """Run the rankings until `symbol` is in `tier` of the catalog."""
    running = [asyncio.create_task(one.run()) for one in rankings]
    async with asyncio.timeout(allowed(10)):
        while until.assets[symbol].tier is not tier:
            await asyncio.sleep(0.005)
    for one in running:
        one.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@given(st.lists(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(0, 200)), max_size=8))
def test_every_asset_keeps_exactly_one_slot(rounds: list[dict[str, int]]) -> None:
    """After any rankings, each asset has exactly one slot, tiers keep their sizes, and every slot has an asset."""
    catalog = listed()
    for scores in rounds:
        assets = list(catalog.assets.values())
        changes = rerank(assets, dict(scores), ())
        catalog.assign_slots(reassigned(catalog.occupants, assets, changes))
        assert {asset.symbol: catalog.assets[asset.symbol].tier for asset in assets} == {
            asset.symbol: changes.get(asset.symbol, asset.tier) for asset in assets
        }
        for tier, size in ((Tier.HOT, 2), (Tier.MEDIUM, 3), (Tier.COLD, 7)):
            assert len(catalog.of(tier)) == size
            assert sorted(map(catalog.asset_in_slot, catalog.slots(tier))) == sorted(
                one.symbol for one in catalog.of(tier)
            )


def test_an_asset_that_stays_keeps_its_due_time() -> None:
    """A newcomer gets the due time of the asset that leaves; all others keep theirs."""
    catalog = listed()
    rota = TierSchedule(catalog, Tier.MEDIUM, 1, 0.0)
    assert [job.symbols for job in rota.pop_due(29)] == [("s2",), ("s3",), ("s4",)]
    catalog.assign_slots({"s3": "s9", "s9": "s3"})
    assert [job.symbols for job in rota.pop_due(59)] == [("s2",), ("s9",), ("s4",)]
    assert catalog.assets["s9"].tier is Tier.MEDIUM
    assert catalog.assets["s3"].tier is Tier.COLD


@pytest.fixture(params=["own", pytest.param("redis", marks=pytest.mark.real)])
async def scores(request: pytest.FixtureRequest) -> AsyncIterator[Scores]:
    """Return each implementation of Scores."""
    if request.param == "own":
        yield LocalScores(asyncio.get_running_loop().time)
        return
    redis: RedisServer = request.getfixturevalue("redis_running")
    client = RedisClient(redis.url, timeout=2, prefix=f"{uuid.uuid4()}:")
    yield RedisScores(client)
    await client.close()


async def test_a_popular_asset_becomes_hot(scores: Scores) -> None:
    """A cold asset with many reads becomes hot; a hot one without reads leaves, unless it is pinned."""
    catalog = listed()
    one, accesses = ranking(catalog, scores, "s1")
    asked(accesses, catalog, s8=50, s0=3)
    await ranked(one, until=catalog, symbol="s8", tier=Tier.HOT)
    assert [asset.symbol for asset in catalog.of(Tier.HOT)] == ["s1", "s8"]


async def test_accesses_are_halved_every_half_life(scores: Scores) -> None:
    """Scores are halved every half-life, and negligible ones are dropped."""
    seen: list[dict[str, float]] = []

    async def rank() -> None:
        await scores.rank(0.001, lambda found: seen.append(dict(found)) or {})  # type: ignore[func-returns-value]  # None

    await scores.add({"s1": 1000, "s2": 1})
    async with asyncio.timeout(allowed(10)):
        while len(seen) < 3:
            await rank()
            await asyncio.sleep(0.002)
    assert seen[0] == {"s1": 1000, "s2": 1}
    assert 1000 * 0.5 ** (10 / HALF_LIFE) < seen[2]["s1"] < seen[1]["s1"] < 1000


@pytest.mark.real
async def test_one_process_ranks_for_all(redis_running: RedisServer) -> None:
    """The reads of two processes add up, and both catalogs get the same tiers."""
    client = RedisClient(redis_running.url, timeout=2, prefix=f"{uuid.uuid4()}:")
    catalogs = [listed(), listed()]
    (one, here), (other, there) = (ranking(catalog, RedisScores(client)) for catalog in catalogs)
    asked(here, catalogs[0], s7=3)
    asked(there, catalogs[1], s7=3)
    await ranked(one, other, until=catalogs[0], symbol="s7", tier=Tier.HOT)
    await ranked(one, other, until=catalogs[1], symbol="s7", tier=Tier.HOT)
    assert catalogs[0].occupants == catalogs[1].occupants
    await client.close()


@pytest.mark.real
async def test_slots_of_another_symbols_file_are_refused(redis_running: RedisServer) -> None:
    """Slots of another symbols file, or unreadable ones, leave the tiers unchanged."""
    client = RedisClient(redis_running.url, timeout=2, prefix=f"{uuid.uuid4()}:")
    catalog = listed()
    one, _ = ranking(catalog, RedisScores(client))
    await client.redis.set(f"{client.prefix}ranking", "")  # no process ranks
    for junk in (b"junk", b"[]", b"\xff", b'{"s1":"gone","gone":"s1"}', b'{"s1":"s8"}', b'{"s1":"s8","s9":"s8"}'):
        await client.redis.set(f"{client.prefix}seats", junk)
        one._apply(await RedisScores(client).slots())
        assert catalog.occupants == {}
    await client.close()


@pytest.mark.real
async def test_tiers_stay_while_redis_fails() -> None:
    """While Redis fails, the tiers stay, and the ranking continues."""
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0", timeout=0.25)
    scores = RedisScores(client)
    for call in (scores.add({"s1": 1}), scores.rank(1, lambda _: {}), scores.slots()):
        with pytest.raises(StoreUnavailable):
            await call
    catalog = listed()
    one, accesses = ranking(catalog, scores)
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(allowed(10)):
        for _ in range(3):  # each round drains the counts
            asked(accesses, catalog, s1=1)
            while accesses._counts:
                await asyncio.sleep(0.005)
    assert not running.done()
    assert catalog.occupants == {}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()


@pytest.mark.real
def test_a_cold_asset_that_is_asked_for_is_refreshed_as_a_hot_one(tmp_path: Path, market: Market) -> None:
    """/assets shows a cold asset with many reads as hot, and its prices are refreshed at the hot interval."""
    service = Service(
        tmp_path, exchanges=market.setting, tiering="popular", rank_interval=1, pinned="btcusdt", hot_interval=1
    ).filled()
    cold = "pytheur"
    tiers = {one["symbol"]: one["tier"] for one in service.get("/assets").json["assets"]}
    assert tiers[cold] == "cold"

    def is_hot() -> bool:
        for _ in range(10):
            service.get(f"/prices/{cold}")
        return bool(service.get(f"/prices/{cold}").json["refresh_tier"] == "hot")

    wait_for(is_hot, what="the asset to be hot")
    first = service.get(f"/prices/{cold}").json["timestamp"]
    wait_for(lambda: service.get(f"/prices/{cold}").json["timestamp"] > first)
    after = {one["symbol"]: one["tier"] for one in service.get("/assets").json["assets"]}
    assert after[cold] == "hot"
    assert after["btcusdt"] == "hot"
    assert Counter(after.values()) == Counter(tiers.values())
    assert service.process.stop() == 0


@pytest.mark.real
def test_a_pinned_symbol_must_be_listed(tmp_path: Path) -> None:
    """A pinned symbol that is not listed stops the start."""
    service = Service(tmp_path, tiering="popular", pinned="btcusdt,nosuchcoin")
    assert service.process.ended() == 1
    assert "nosuchcoin" in service.process.output
    assert "Traceback" not in service.process.output
