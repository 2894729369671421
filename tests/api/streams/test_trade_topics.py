"""The topics of trades and features on /stream and /ws."""

import json
from decimal import Decimal

import jsonschema_rs

from aggregator.api.openapi import document
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.api.trades.snapshots import trade_snapshots
from aggregator.live.subscriber import EVERYTHING, Subscription
from aggregator.models import Tier, encode
from aggregator.prices.tiers import assign
from aggregator.trades.topics import FEATURES, TRADES
from tests.api.streams.living import hear, living, say
from tests.parts.examples import CADENCE
from tests.parts.live import stream
from tests.parts.routes import every_route
from tests.parts.trade_api import KnownTrades, features, sold, trade


async def test_trades_and_features_over_sse() -> None:
    """A snapshot has the newest of each asset; events have every field, and decimals as strings if asked for."""
    async with living(topics=[TRADES, FEATURES]) as live:
        live.hub.publish(TRADES, [trade(1, asset="asset1"), trade(2, asset="asset1"), trade(3, asset="nosuch")])
        async with (
            stream(live.url, "?topics=trades,features") as one,
            stream(live.url, "?topics=trades&numbers=string") as strings,
        ):
            assert [found["id"] for found in (await one.until("snapshot")).data["trades"]] == ["2"]
            assert (await one.until("snapshot")).data == {"features": []}
            await strings.until("snapshot")
            live.hub.publish(TRADES, [sold(trade(4, "100.5", None, asset="asset1"), 9)])
            live.hub.publish(FEATURES, [features("asset1")])
            expected = {
                "asset": "asset1",
                "price": Decimal("100.5"),
                "volume": None,
                "timestamp": 1_760_000_000,
                "venue": "venue",
                "id": "4",
                "side": "sell",
                "sequence_number": 9,
                "late": False,
            }
            assert (await one.until("trade")).data == expected
            assert (await strings.until("trade")).data == expected | {"price": "100.5"}
            assert (await one.until("feature")).data == json.loads(encode(features("asset1")), parse_float=Decimal)


async def test_trades_over_a_websocket() -> None:
    """Beside the prices of the same client."""
    async with living(topics=[TRADES, FEATURES]) as live, live.client() as client:
        await say(client, type="subscribe", topics=["trades", "features"], assets=["asset1"])
        assert [[*await hear(client)][1] for _ in range(2)] == ["trades", "features"]
        live.hub.publish(TRADES, [trade(1, asset="asset2"), trade(2, asset="asset1")])
        live.hub.publish(FEATURES, [features("asset1")])
        assert (await hear(client))["trade"]["id"] == "2"
        assert (await hear(client))["feature"]["asset"] == "asset1"


async def test_a_snapshot_has_what_changed_long_ago() -> None:
    """The current value of every asset that is wanted and listed, in parts of a thousand, encoded once per change."""
    names = [f"asset{number}" for number in range(1500)]
    catalog = assign([(name, "", "") for name in names], 1, 2, CADENCE)  # asset0 is hot, asset1 and asset2 are medium
    live, waits = KnownTrades(), list[str]()

    async def settled() -> None:
        waits.append("settled")

    sources = trade_snapshots(catalog, HotTrades(live), settled)
    for topic, subscription in (("trades", EVERYTHING), ("features", EVERYTHING), ("trades", Subscription())):
        assert (await sources[topic].read(subscription))() == [b"[]"]
    live.quotes = {name: trade(asset=name) for name in [*names, "unlisted"]}
    live.known = {name: features(name) for name in names[:2]}
    some = Subscription(frozenset({"asset7", "unlisted"}), frozenset({Tier.HOT, Tier.MEDIUM}))
    for topic, values in (("trades", live.quotes), ("features", live.known)):
        expected = [encode(values[name]) for name in ("asset0", "asset1", "asset2", "asset7") if name in values]
        assert (await sources[topic].read(some))() == [b"[" + b",".join(expected) + b"]"]
    named = await sources["trades"].read(Subscription(frozenset({"asset7", "unlisted"})))
    live.quotes["asset7"] = trade(8, asset="asset7")
    assert named() == [encode([live.quotes["asset7"]])]  # the value at the time of the call
    parts = (await sources["trades"].read(EVERYTHING))()
    assert [len(json.loads(part)) for part in parts] == [1000, 500]
    assert len(waits) == 7  # once for each snapshot


def test_the_events_are_as_documented() -> None:
    """With null for what is unknown."""
    components = json.loads(encode(document(every_route())))["components"]
    for name, value in (("ShownTrade", trade(volume=None)), ("ShownTrade", sold(trade(), 1)), ("Features", features())):
        schema = components["schemas"][name] | {"components": components, "additionalProperties": False}
        jsonschema_rs.validate(schema, json.loads(encode(value)))
