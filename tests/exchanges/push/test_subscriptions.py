"""The subscriptions of a feed: wanted assets, within bounds, and again after a lost ticker."""

import pytest

from aggregator.exchanges.registry import PUSHING
from aggregator.models import Asset, Tier
from tests.exchanges.push.scene import BTC, DOGE, ETH, Scene, running, until
from tests.exchanges.venues.servers import FEEDS

pytestmark = pytest.mark.real


async def test_wanted_assets_come_and_go(scene: Scene) -> None:
    """A newly wanted asset is subscribed to and another one unsubscribed, on the same connection."""
    scene.wanted = [ETH, DOGE]
    await until(lambda: scene.feed.young("dogeusdt") is not None)
    assert scene.feed.young("btcusdt") is None
    assert await scene.is_polled(BTC)
    assert scene.venue.connections == 1
    rounds, junk = scene.venue.rounds, scene.count("junk")
    await until(lambda: scene.venue.rounds > rounds + 3)
    assert scene.count("junk") == junk  # what is no longer wanted is no longer sent


async def test_a_gap_is_resynchronised() -> None:
    """A trade in Coinbase's heartbeats without its ticker drops the pair's ticker and subscribes anew."""
    async with running("coinbase") as scene:
        scene.wanted = [BTC]
        await until(lambda: scene.feed.young("btcusdt") is not None)
        heard = len(scene.venue.heard)
        scene.venue.lose_tickers = True
        await until(lambda: scene.count("gap") == 1)
        await until(lambda: len(scene.venue.heard) >= heard + 2)
        assert [asked["type"] for asked in scene.venue.heard[heard : heard + 2]] == ["unsubscribe", "subscribe"]
        await until(lambda: scene.feed.young("btcusdt") is not None)
        assert scene.venue.connections == 1


@pytest.mark.parametrize("name", ["coinbase", "kraken", "okx", "bybit"])
async def test_a_pair_it_does_not_trade_costs_only_itself(name: str) -> None:
    """A refused subscription is counted and the other pairs are pushed. Binance accepts it and pushes nothing."""
    venue = FEEDS[name]()
    venue.unlisted = {PUSHING[name]().spell(ETH)}
    async with running(name, venue=venue) as scene:
        await until(lambda: scene.feed.young("btcusdt") is not None)
        await until(lambda: scene.count("refused") == 1)
        assert await scene.is_polled(ETH)
        assert scene.venue.connections == 1


async def test_a_subscription_that_was_lost_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair without any news is subscribed to again, on the same connection."""
    venue = FEEDS["coinbase"]()
    venue.overhears = {"BTC-USDT"}
    async with running("coinbase", venue=venue) as scene:
        await until(lambda: scene.feed.young("ethusdt") is not None)
        assert await scene.is_polled(BTC)
        monkeypatch.setattr("aggregator.exchanges.push.feed._ASK_AGAIN", 0.1)
        await until(scene.young)
        assert scene.venue.connections == 1


async def test_a_symbols_file_without_base_and_quote_is_polled() -> None:
    """Coinbase and Kraken need base and quote; without them nothing is pushed, and that is no trouble."""
    async with running("kraken") as scene:
        scene.wanted = [Asset("btcusdt", "", "", Tier.HOT, 1)]
        await until(lambda: scene.told() == "")
        assert scene.feed.young("btcusdt") is None


async def test_subscriptions_are_bounded_and_in_parts() -> None:
    """At most as many pairs as a connection takes, in messages of at most the allowed size."""
    # The venue sends 200 tickers twenty times a second: on a busy machine each is old at once with a short interval.
    async with running("kraken", interval=60.0) as scene:
        dialect = PUSHING["kraken"]()
        scene.wanted = [Asset(f"c{number}usd", f"c{number}", "usd", Tier.HOT, number) for number in range(1000)]
        await until(lambda: len(scene.venue.heard) >= 4 and scene.feed.young("c199usd") is not None)
        asked = [one["params"]["symbol"] for one in scene.venue.heard if one["method"] == "subscribe"]  # type: ignore[index]  # an object
        sizes = [len(names) for names in asked if names[0].startswith("C")]
        assert set(sizes) == {dialect.most_together}
        assert len(sizes) <= scene.venue.connections * (dialect.most_symbols // dialect.most_together)
        assert scene.feed.young("c200usd") is None
