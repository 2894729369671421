"""The memory cache: expiry by a given clock."""

from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Tier
from aggregator.newest import NewestPrices
from aggregator.stores.memory import MemoryCache
from tests.parts.examples import NOW, price


async def test_a_price_lives_for_its_tier_s_ttl() -> None:
    """A write renews the TTL; an older price is never taken, not even after the expiry."""
    now = 0.0
    cache = MemoryCache(NewestPrices({Tier.HOT: 10, Tier.MEDIUM: 60, Tier.COLD: 600}, clock=lambda: now), Bus([PRICES]))
    await cache.write([price(), price("ethusdt", tier=Tier.COLD)])
    now = 9.9
    assert len(await cache.latest(["btcusdt", "ethusdt"])) == 2
    await cache.write([price()])
    now = 19.8
    assert len(await cache.latest(["btcusdt", "ethusdt"])) == 2
    now = 20
    assert list(await cache.latest(["btcusdt", "ethusdt"])) == ["ethusdt"]
    await cache.write([price(timestamp=NOW - 100)])
    assert await cache.latest(["btcusdt"]) == {}
    await cache.write([price(timestamp=NOW + 1)])
    assert (await cache.latest(["btcusdt"]))["btcusdt"].timestamp == NOW + 1
