"""The topics of trades and features on /stream and /ws."""

import json
from decimal import Decimal

import jsonschema_rs

from aggregator.api.openapi import document
from aggregator.models import encode
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.live import stream
from tests.parts.living import hear, living, say
from tests.parts.routes import every_route
from tests.parts.trade_api import features, sold, trade


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


def test_the_events_are_as_documented() -> None:
    """With null for what is unknown."""
    components = json.loads(encode(document(every_route())))["components"]
    for name, value in (("ShownTrade", trade(volume=None)), ("ShownTrade", sold(trade(), 1)), ("Features", features())):
        schema = components["schemas"][name] | {"components": components, "additionalProperties": False}
        jsonschema_rs.validate(schema, json.loads(encode(value)))
