"""A topic beside prices, over real connections. It is declared in tests/parts/trades.py, and nowhere in the service."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from signal import SIGKILL
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from aggregator.cluster.topic_feed import RedisFeed
from aggregator.errors import StoreUnavailable
from aggregator.live.fanout import CUT_OFF, NOT_KEPT
from aggregator.live.topics import Bus
from aggregator.stores.redis.client import RedisClient
from tests.api.streams.living import Live, hear, heard, living, say
from tests.parts.limits import allowed
from tests.parts.live import Event, Stream, stream
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until
from tests.parts.streams import rest
from tests.parts.trades import TRADES, trade

MANY = 100  # trades; more than the topic keeps


def shown(number: int, asset: str = "asset1") -> dict[str, object]:
    """Return the JSON of a trade."""
    return {"asset": asset, "id": number, "price": Decimal(number) / 8}


async def one_name(one: Stream) -> str:
    """Return the name of the next event."""
    event = await one.next()
    return event.name if event else ""


async def test_a_stream_has_the_topics_that_it_asks_for() -> None:
    """Prices without `topics`; else these alone, with a snapshot of each first, and only its last part has an id."""
    async with living(topics=[TRADES]) as live:
        await live.tell("asset1")
        live.hub.publish(TRADES, [trade(1), trade(2), trade(3, "asset2")])
        async with (
            stream(live.url) as prices,
            stream(live.url, "?topics=trades&assets=asset1") as trades,
            stream(live.url, "?topics=trades,prices&tier=hot") as both,
        ):
            assert [found["asset"] for found in (await prices.until("snapshot")).data["prices"]] == ["asset1"]
            assert (await trades.until("snapshot")).data == {"trades": [shown(2)]}
            first, second = await both.until("snapshot"), await both.until("snapshot")
            assert (first.data, first.id) == ({"trades": [shown(2), shown(3, "asset2")]}, "")
            assert ([*second.data], second.id) == (["prices"], live.fanout.last_id)
            live.hub.publish(TRADES, [trade(4, "asset2"), trade(5)])
            await live.tell("asset1")
            assert await trades.next() == Event("trade", shown(5), id_before_last(live))
            assert [event and (event.name, event.data["asset"]) for event in [await both.next() for _ in range(3)]] == [
                ("trade", "asset2"),
                ("trade", "asset1"),
                ("price", "asset1"),
            ]
            event = await prices.next()
            assert event is not None
            assert (event.name, event.id) == ("price", live.fanout.last_id)


def id_before_last(live: Live) -> str:
    """Return the id of the event before the last one."""
    epoch, _, last = live.fanout.last_id.partition("-")
    return f"{epoch}-{int(last) - 1}"


@pytest.mark.parametrize("topics", ["", "nosuch", "prices,nosuch", "prices,", "%00", "PRICES", "a," * 5000])
async def test_unknown_topics_are_refused(topics: str) -> None:
    """A stream of anything else than topics is refused before it begins."""
    async with living(topics=[TRADES]) as live, stream(live.url, f"?topics={topics}") as one:
        assert one.status in (400, 414, 431)
        assert live.open_now() == 0


async def test_the_topics_of_the_service_are_named() -> None:
    """In the refusal of a stream, and in the error on a WebSocket, which stays open."""
    said = {"msg": "topics must be some of prices,trades", "code": "invalid_parameter"}
    async with living(topics=[TRADES]) as live, live.client() as client:
        assert await refusal(live, "/stream?topics=x") == said
        for topics in (["x"], ["prices", "x"], []):
            error = await say(client, type="subscribe", topics=topics, tiers=["hot"])
            assert error == {"type": "error"} | said
        for malformed in (["x"] * 101, "prices", [1], None):
            error = await say(client, type="subscribe", topics=malformed, tiers=["hot"])
            assert (error["type"], error["code"]) == ("error", "invalid_request")
        assert (await say(client, type="subscribe", assets=["asset1"]))["type"] == "subscribed"


async def refusal(live: Live, target: str) -> dict[str, Any]:
    """Return the JSON of a refused request."""
    async with asyncio.timeout(allowed(10)):
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        found: dict[str, Any] = json.loads((await rest(reader, writer)).partition(b"\r\n\r\n")[2])
    return found


async def test_a_stream_resumes_with_all_of_its_topics() -> None:
    """In the order of the events. If one topic keeps too few of them, the gap names it, and all get a snapshot."""
    async with living(topics=[TRADES]) as live:
        async with stream(live.url, "?topics=prices,trades") as one:
            await one.until("snapshot")
            last = (await one.until("snapshot")).id
        live.hub.publish(TRADES, [trade(1)])
        await live.tell("asset1")
        live.hub.publish(TRADES, [trade(2)])
        resumed = {"Last-Event-ID": last}
        async with stream(live.url, "?topics=prices,trades", resumed) as one:
            assert [await one_name(one) for _ in range(3)] == ["trade", "price", "trade"]
        live.hub.publish(TRADES, [trade(number) for number in range(3, MANY)])
        async with stream(live.url, "?topics=prices,trades", resumed) as one:
            gap = await one.next()
            assert gap == Event("gap", {"msg": NOT_KEPT.format("trades"), "topics": ["trades"]})
            prices, trades = await one.until("snapshot"), await one.until("snapshot")
            assert [found["asset"] for found in prices.data["prices"]] == ["asset1"]
            assert (trades.data, trades.id) == ({"trades": [shown(MANY - 1)]}, live.fanout.last_id)
        async with stream(live.url, "?topics=trades", resumed) as one:
            assert await one.next() == Event("gap", {"msg": NOT_KEPT.format("trades")})
        async with stream(live.url, "?topics=prices", resumed) as one:  # its events are kept
            event = await one.next()
            assert event is not None
            assert (event.name, event.data["asset"]) == ("price", "asset1")


async def test_topics_over_a_websocket() -> None:
    """Each message is about its topics; without any, about prices, and the reply is the one for prices alone."""
    async with living(topics=[TRADES]) as live, live.client() as client:
        live.hub.publish(TRADES, [trade(1)])
        assert await say(client, type="subscribe", topics=["trades"], assets=["asset1"]) == {
            "type": "subscribed",
            "topics": {"trades": {"assets": ["asset1"], "tiers": []}},
        }
        assert (await client.recv()) == '{"type":"snapshot","trades":[{"asset":"asset1","id":1,"price":0.125}]}'
        reply = await say(client, type="subscribe", assets=["asset2"])
        assert reply == {"type": "subscribed", "assets": ["asset2"], "tiers": []}
        assert await hear(client) == {"type": "snapshot", "prices": []}
        live.hub.publish(TRADES, [trade(2, "asset2"), trade(3)])
        await live.tell("asset1", "asset2")
        assert await client.recv() == '{"type":"trade","trade":{"asset":"asset1","id":3,"price":0.375}}'
        assert (await hear(client))["price"]["asset"] == "asset2"
        assert await say(client, type="unsubscribe", topics=["trades", "prices"], assets=["asset1"]) == {
            "type": "subscribed",
            "topics": {"prices": {"assets": ["asset2"], "tiers": []}},
        }
        live.hub.publish(TRADES, [trade(4)])
        await live.tell("asset2")
        assert (await hear(client))["type"] == "price"


async def test_a_gap_names_the_topics_of_a_client() -> None:
    """If it has several; a client of one topic gets the reason for that one alone."""
    async with living(topics=[TRADES]) as live, live.client() as client, live.client() as other:
        await say(client, type="subscribe", topics=["trades", "prices"], tiers=["hot"])
        await hear(client)
        await hear(client)
        await say(other, type="subscribe", topics=["trades"], tiers=["hot"])
        await hear(other)
        live.hub.disconnect()
        both = {"type": "gap", "msg": CUT_OFF.format("trades, prices"), "topics": ["trades", "prices"]}
        assert await hear(client) == both
        assert await hear(other) == {"type": "gap", "msg": CUT_OFF.format("trades")}
        live.hub.connect()
        assert [[*await hear(client)] for _ in range(2)] == [["type", "trades"], ["type", "prices"]]


@asynccontextmanager
async def fed(live: Live, redis: RedisServer) -> AsyncIterator[RedisFeed]:
    """Feed the server from Redis; yield the feed of another process."""
    here, there = RedisClient(redis.url, timeout=5), RedisClient(redis.url, timeout=5)
    async with running(RedisFeed(here, live.hub).run):
        await until(lambda: live.hub.connected)
        yield RedisFeed(there, Bus(live.hub.topics.values()))
    await here.close()
    await there.close()


async def is_published(feed: RedisFeed) -> bool:
    """Publish a fourth trade; return whether Redis took it. The first call may find a connection that is broken."""
    try:
        await feed.publish(TRADES, [trade(4)])
    except StoreUnavailable:
        return False
    return True


@pytest.mark.real
async def test_a_topic_between_processes(redis_alone: RedisServer) -> None:
    """Streams send the values that another process publishes through Redis; an outage is a gap, then a snapshot."""
    async with (
        living(topics=[TRADES]) as live,
        fed(live, redis_alone) as other,
        live.client() as client,
        stream(live.url, "?topics=trades") as one,
    ):
        last = (await one.until("snapshot")).id
        await say(client, type="subscribe", topics=["trades"], tiers=["hot"])
        await hear(client)
        await other.publish(TRADES, [trade(1), trade(2)])
        await other.publish(TRADES, [trade(3)])
        assert [(await one.until("trade")).data for _ in range(3)] == [shown(1), shown(2), shown(3)]
        assert [(await hear(client))["trade"]["id"] for _ in range(3)] == [1, 2, 3]
        async with stream(live.url, "?topics=trades", {"Last-Event-ID": last}) as again:
            assert [(await again.until("trade")).data["id"] for _ in range(3)] == [1, 2, 3]
        redis_alone.process.stop(SIGKILL)
        assert (await one.until("gap")).data == {"msg": CUT_OFF.format("trades")}
        assert (await hear(client))["type"] == "gap"
        back = RedisServer(redis_alone.port)
        assert (await one.until("snapshot")).data == {"trades": []}  # none is kept across the gap
        await heard(client, "snapshot")
        await until(lambda: is_published(other))
        assert (await one.until("trade")).data == shown(4)
        assert (await hear(client))["trade"]["id"] == 4
        back.stop()


@pytest.mark.real
@pytest.mark.parametrize("junk", [b"", b"null", b"\xff", b'[{"asset":1}]', b'{"asset":"asset1","id":1,"price":1}'])
async def test_a_foreign_message_on_a_topic_is_skipped(redis_client: RedisClient, junk: bytes) -> None:
    """The next value arrives."""
    async with living(topics=[TRADES]) as live, running(RedisFeed(redis_client, live.hub).run):
        await until(lambda: live.hub.connected)
        async with stream(live.url, "?topics=trades") as one:
            await one.until("snapshot")
            await redis_client.redis.publish(redis_client.channel("trades"), junk)
            await RedisFeed(redis_client, live.hub).publish(TRADES, [trade(7)])
            assert (await one.until("trade")).data == shown(7)


async def test_decimals_as_strings() -> None:
    """With numbers=string, snapshots and events of every topic have decimals as strings, and times as numbers."""
    async with living(topics=[TRADES]) as live:
        await live.tell("asset1")
        live.hub.publish(TRADES, [trade(1)])
        async with stream(live.url, "?topics=trades,prices&numbers=string") as one, stream(live.url) as other:
            assert (await one.until("snapshot")).data == {"trades": [shown(1) | {"price": "0.125"}]}
            (first,) = (await one.until("snapshot")).data["prices"]
            (same,) = (await other.until("snapshot")).data["prices"]
            assert isinstance(first["price"], str)
            assert {
                name: Decimal(first[name]) if name in ("price", "spread") else first[name] for name in first
            } == same
            await live.tell("asset1")
            live.hub.publish(TRADES, [trade(3)])
            event = await one.until("price")
            assert (type(event.data["price"]), type(event.data["timestamp"])) == (str, Decimal)
            assert (await one.until("trade")).data == shown(3) | {"price": "0.375"}
            assert isinstance((await other.until("price")).data["price"], Decimal)


async def test_decimals_as_strings_over_a_websocket() -> None:
    """With numbers=string in the address, decimals are strings; another value refuses the handshake with 400."""
    async with living(topics=[TRADES]) as live:
        await live.tell("asset1")
        async with connect(f"{live.url.replace('http', 'ws')}/ws?numbers=string") as client:
            await say(client, type="subscribe", assets=["asset1"])
            (first,) = (await hear(client))["prices"]
            assert isinstance(first["price"], str)
            await live.tell("asset1")
            assert isinstance((await hear(client))["price"]["price"], str)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{live.url.replace('http', 'ws')}/ws?numbers=text"):
                pass
        assert refused.value.response.status_code == 400
        assert b"numbers must be one of number, string" in refused.value.response.body
