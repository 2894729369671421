"""Both kinds of stream over real connections: gaps, the limit of streams, and their duration."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aggregator.live.fanout import CUT_OFF
from aggregator.models import Tier, encode, price_body
from tests.api.streams.living import Live, hear, heard, living, say
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed
from tests.parts.live import stream
from tests.parts.serving import until
from tests.parts.streams import rest


async def test_a_gap_and_the_snapshot_after_it() -> None:
    """Both report the gap at once, and a snapshot as soon as no price is missed any more."""
    async with living() as live, stream(live.url) as one, live.client() as client:
        await one.until("snapshot")
        assert (await say(client, type="subscribe", tiers=["hot"]))["type"] == "subscribed"
        assert await hear(client) == {"type": "snapshot", "prices": []}
        live.hub.disconnect()
        assert (await one.until("gap")).data == {"msg": CUT_OFF.format("prices")}
        assert await hear(client) == {"type": "gap", "msg": CUT_OFF.format("prices")}
        await live.cache.write([price("asset1", NOW)])
        live.hub.connect()
        for data in ((await one.until("snapshot")).data, await heard(client, "snapshot")):
            assert [found["asset"] for found in data["prices"]] == ["asset1"]


async def test_the_bytes_that_clients_of_prices_rely_on() -> None:
    """Every event of both streams: names, fields, their order, ids, and texts."""
    cut_off = b'"msg":"Cut off from the other processes: prices are being missed until the next snapshot"}'
    not_kept = b'"msg":"What came after that event is not kept: prices have been missed until the next snapshot"}'
    async with living() as live, live.client() as client:
        await live.tell("asset1")
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /stream?assets=asset1 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 00000000-1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        first = served(live)
        assert await chunk(reader) == b"retry: 1000\nevent: gap\ndata: {%b\n\n" % not_kept
        assert await chunk(reader) == b'id: %b\nevent: snapshot\ndata: {"prices":[%b]}\n\n' % first
        await client.send('{"type":"subscribe","assets":["ASSET1"]}')
        assert await client.recv() == '{"type":"subscribed","assets":["asset1"],"tiers":[]}'
        assert await client.recv() == f'{{"type":"snapshot","prices":[{first[1].decode()}]}}'
        await live.tell("asset1")
        second = served(live)
        assert await chunk(reader) == b"id: %b\nevent: price\ndata: %b\n\n" % second
        assert await client.recv() == f'{{"type":"price","price":{second[1].decode()}}}'
        live.hub.disconnect()
        assert await chunk(reader) == b"event: gap\ndata: {%b\n\n" % cut_off
        assert await client.recv() == '{"type":"gap",' + cut_off.decode()
        live.hub.connect()
        assert await chunk(reader) == b'id: %b\nevent: snapshot\ndata: {"prices":[%b]}\n\n' % served(live)
        assert await client.recv() == f'{{"type":"snapshot","prices":[{second[1].decode()}]}}'
        writer.close()


def served(live: Live) -> tuple[bytes, bytes]:
    """Return the id of the last event, and the JSON of the newest price of asset1."""
    newest = live.cache.newest.known("asset1")
    assert newest is not None
    return live.fanout.last_id.encode(), encode(price_body(newest, Tier.HOT, NOW, 7.5))


async def chunk(reader: asyncio.StreamReader) -> bytes:
    """Return the next chunk of a response."""
    async with asyncio.timeout(allowed(10)):
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:size]


async def test_the_limit_of_streams() -> None:
    """One limit for both kinds: 503 with Retry-After; streams use no request slots, and free their place."""
    async with living(most=2) as live, stream(live.url) as one:
        async with live.client() as client:
            async with stream(live.url) as third:
                assert (third.status, third.headers["retry-after"]) == (503, "1")
            with pytest.raises(InvalidStatus) as refusal:
                await live.client()
            assert refusal.value.response.status_code == 503
            assert refusal.value.response.headers["retry-after"] == "1"
            assert json.loads(refusal.value.response.body) == {
                "msg": "Too many streams are open",
                "code": "too_many_streams",
            }
            for _ in range(3):  # the only request that may be under way
                async with asyncio.timeout(allowed(5)):
                    assert await status_of(live, b"GET /openapi.json") == 200
            await client.close()
        await until(lambda: live.open_now() == 1)
        assert one.status == 200
        async with stream(live.url) as again:
            assert again.status == 200


async def status_of(live: Live, line: bytes) -> int:
    """Return the status of a response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return int((await rest(reader, writer)).split(b" ")[1])


async def test_streams_with_a_time_limit() -> None:
    """They end with a reason, and clients resume."""
    async with living(seconds=0.3) as live:
        async with stream(live.url) as one, live.client() as client:
            last = (await one.until("snapshot")).id
            (end,) = await one.rest()
            assert end.name == "end"
            assert (await hear(client))["type"] == "end"
            with pytest.raises(ConnectionClosed) as closed:
                await hear(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        async with stream(live.url, headers={"Last-Event-ID": last}) as one:
            assert [event.name for event in await one.rest()] == ["end"]
        assert live.value("price_stream_dropped_total", reason="expired") == 3
