"""GET /ws over real connections: messages of clients, malformed messages, and plain GETs."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from tests.api.streams.living import ASSETS, KEY, UPGRADE, hear, living, say
from tests.parts.limits import allowed
from tests.parts.serving import until


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"type":"sub', "Not understood: Input data was truncated"),
        ("", "Not understood: Input data was truncated"),
        ("[]", "Not understood: Expected `object`, got `array`"),
        ('{"type":"say"}', "Not understood: Invalid enum value 'say' - at `$.type`"),
        ('{"type":"subscribe","asset":"x"}', "Not understood: Object contains unknown field `asset`"),
        ('{"type":"subscribe","tiers":["warm"]}', "Not understood: Invalid enum value 'warm' - at `$.tiers[0]`"),
        ('{"type":"subscribe"}', "Name assets or tiers"),
        ('{"type":"unsubscribe","assets":["a.b"]}', "Not among our assets: a.b"),
        ('{"type":"subscribe","assets":["nosuch","\\ud800"]}', None),
        (b"\xff\xfe", None),
        ("[" * 60_000, None),
        (json.dumps({"type": "x" * 60_000}), None),
        (
            json.dumps({"type": "subscribe", "assets": ["x"] * 1001}),
            "Not understood: Expected `array` of length <= 1000 - at `$.assets`",
        ),
    ],
)
async def test_malformed_messages(said: str | bytes, message: str | None) -> None:
    """The error has the reason, and the connection stays open."""
    async with living() as live, live.client() as client:
        await client.send(said)
        error = await hear(client)
        assert error["type"] == "error"
        assert error["msg"] == message or message is None
        assert len(error["msg"]) <= 500
        assert await say(client, type="subscribe", assets=["asset1"]) == {
            "type": "subscribed",
            "assets": ["asset1"],
            "tiers": [],
        }


async def test_a_subscription_in_the_address() -> None:
    """Clients that expect the parameters of /stream are told, instead of waiting for events for ever."""
    async with living() as live, connect(f"{live.url.replace('http', 'ws')}/ws?assets=asset1&topics=prices") as client:
        error = await hear(client)
        assert (error["type"], error["code"]) == ("error", "invalid_parameter")
        assert error["msg"].startswith(
            'A subscription is a message, not part of the address: send {"type":"subscribe",'
        )
        await client.send(error["msg"].partition("send ")[2])
        assert (await hear(client))["topics"] == {"prices": {"assets": [], "tiers": ["hot"]}}


async def test_subscribing_and_unsubscribing() -> None:
    """More, fewer, by asset and by tier; at most a thousand by name."""
    async with living() as live, live.client() as client:
        await live.tell("asset1", "asset2")
        await say(client, type="subscribe", assets=["ASSET1", "nosuch"])  # the error
        assert (await hear(client))["assets"] == ["asset1"]
        assert [found["asset"] for found in (await hear(client))["prices"]] == ["asset1"]
        await live.tell("asset2", "asset1")
        assert (await hear(client))["price"]["asset"] == "asset1"
        assert (await say(client, type="subscribe", assets=ASSETS[:1000]))["type"] == "subscribed"
        assert len((await hear(client))["prices"]) == 2
        assert (await say(client, type="subscribe", assets=ASSETS[1000:1001]))["type"] == "error"
        assert (await say(client, type="unsubscribe", assets=ASSETS[:1000]))["assets"] == []
        assert (await say(client, type="subscribe", tiers=["hot", "hot"]))["tiers"] == ["hot"]
        await hear(client)
        await live.tell("asset3")
        assert (await hear(client))["price"]["asset"] == "asset3"
        assert (await say(client, type="unsubscribe", tiers=["hot"]))["tiers"] == []
        await live.tell("asset3")
        assert (await say(client, type="subscribe"))["type"] == "error"  # and no price came before it


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nosuch HTTP/1.1\r\n" + UPGRADE + KEY, 404),
        (b"GET /prices/btcusdt HTTP/1.1\r\n" + UPGRADE + KEY, 404),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE, 400),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Key: x\r\n", 400),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"12") + KEY, 400),
        (b"POST /ws HTTP/1.1\r\nContent-Length: 0\r\n" + UPGRADE + KEY, 405),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: y\r\n" * 500, 431),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: " + b"x" * 12_000 + b"\r\n", 431),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: " + b"x" * 40_000 + b"\r\n", 431),
        (b"GET /ws?" + b"x" * 12_000 + b" HTTP/1.1\r\n" + UPGRADE + KEY, 431),
        (b"GET /ws\xff HTTP/1.1\r\n" + UPGRADE + KEY, None),
        (b"GET /ws HTTP/1.1\r\nX: \xff\r\n" + UPGRADE + KEY, 101),
        (b"GET /ws HTTP/1.0\r\n" + UPGRADE + KEY, None),
        (b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", None),
    ],
)
async def test_requests_that_are_no_websocket(
    request_: bytes, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets a response, or the connection ends; never a crash, never an endless wait."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(request_ + b"\r\n")
        async with asyncio.timeout(allowed(10)):
            answer = await reader.read(65536)
        writer.close()
        assert status is None or answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert not answer.startswith(b"HTTP/1.1 5")
        if status is not None and status >= 400:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert json.loads(body).keys() == {"msg", "code"}
            assert head.lower().count(b"\r\ncontent-length: %d" % len(body)) == 1
        await until(lambda: not live.server.server_state.connections)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
