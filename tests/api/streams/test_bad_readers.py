"""Clients of streams that stop reading, flood or fall silent: they are disconnected, and delay nothing."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from aggregator.api.routing.stream_end import SLOW
from aggregator.api.server.slow_readers import Limits
from aggregator.api.server.websocket_protocol import WebSocketProtocol
from tests.api.streams.living import ASSETS, KEY, UPGRADE, Live, hear, heard, living, say
from tests.parts.limits import allowed
from tests.parts.live import stream
from tests.parts.serving import until
from tests.parts.streams import rest


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_client_that_stops_reading_is_disconnected(kind: str) -> None:
    """Its queue is bounded meanwhile. It gets the reason if it still reads, and other clients are not delayed."""
    ask: dict[str, Callable[[Live], Any]] = {"sse": _deaf_stream, "websocket": _deaf_socket}
    async with living() as live, stream(live.url) as healthy:
        deaf = await ask[kind](live)
        await until(lambda: live.open_now() == 2)
        last = ""
        while not live.value("price_stream_dropped_total", reason="slow"):
            await live.tell(*ASSETS[:300])
            last = live.fanout.last_id
            while (await healthy.until("price")).id != last:
                pass
            await asyncio.sleep(0.01)
        assert live.value("price_stream_conflated_total") > 0
        assert live.value("price_api_connections_cut_total", reason="unread") == 1
        deaf.setblocking(False)  # noqa: FBT003  # the socket's own signature
        said = await rest(*await asyncio.open_connection(sock=deaf))
        assert SLOW.encode() in said[-100:]
        await until(lambda: live.open_now() == 1)


async def _deaf_stream(live: Live) -> socket.socket:
    return await live.stopped(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")


async def _deaf_socket(live: Live) -> socket.socket:
    deaf = await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
    await until(lambda: live.open_now() == 2)
    deaf.sendall(masked(b'{"type":"subscribe","tiers":["hot"]}'))
    return deaf


def masked(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """Return a small frame as a client sends it."""
    return bytes([opcode | (0x80 if final else 0), 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def test_an_idle_stream_stays_open() -> None:
    """A quiet stream may last as long as the client has read everything."""
    async with living() as live, stream(live.url) as one, live.client() as client:
        await one.until("snapshot")
        await say(client, type="subscribe", tiers=["hot"])
        await hear(client)
        for connection in list(live.server.server_state.connections):
            for later in (100, 200, 300):
                connection.sweep(asyncio.get_running_loop().time() + later)  # type: ignore[union-attr]
            wire = connection.transport.get_extra_info("socket")
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 65_536  # where it would wait in vain
        await live.tell("asset1")
        assert (await one.until("price")).data["asset"] == "asset1"
        assert (await hear(client))["price"]["asset"] == "asset1"


@pytest.mark.parametrize(
    ("flood", "reason"),
    [
        (masked(b"{}") * 20_000, "flood"),
        (masked(b"x", final=False) + masked(b"", 0, final=False) * 20_000, "flood"),
    ],
)
async def test_too_many_messages(flood: bytes, reason: str) -> None:
    """A message that is too long, whole or in pieces, ends the connection."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(flood)
        await rest(reader, writer)
        await until(lambda: live.value("price_stream_dropped_total", reason=reason) == 1)
        assert live.open_now() == 0


async def test_a_client_that_does_not_answer_pings() -> None:
    """The connection counts as lost."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        await until(lambda: live.open_now() == 1)
        (connection,) = live.server.server_state.connections
        assert isinstance(connection, WebSocketProtocol)
        connection.send_keepalive_ping()
        connection.keepalive_timeout()
        assert b"keepalive ping timeout" in await rest(reader, writer)
        await until(lambda: live.value("price_stream_dropped_total", reason="silent") == 1)
        assert live.open_now() == 0


async def test_pongs_that_the_client_does_not_read() -> None:
    """They fill no memory: the connection ends."""
    async with living(Limits()) as live:
        deaf = await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        deaf.setblocking(False)  # noqa: FBT003  # the socket's own signature
        with pytest.raises(ConnectionError):
            await flooded(deaf, masked(b"x" * 100, 9) * 1000)
        deaf.close()
        assert live.value("price_api_connections_cut_total", reason="unread") == 1
        await until(lambda: live.open_now() == 0)


async def flooded(deaf: socket.socket, part: bytes) -> None:
    """Send these bytes again and again."""
    async with asyncio.timeout(allowed(20)):
        while True:
            await asyncio.get_running_loop().sock_sendall(deaf, part)


async def test_a_message_that_is_too_large() -> None:
    """64 KB are read; beyond, the connection ends."""
    async with living() as live:
        async with live.client() as client:
            await client.send("x" * 65_536)
            assert (await hear(client))["type"] == "error"
        async with live.client() as client:
            await client.send("x" * 65_537)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("text", [masked(b"\xff"), masked(b"\xe2", final=False) + masked(b"\x82", 0)])
async def test_a_text_that_is_no_utf_8(text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It ends the connection with the code for that, and leaves nothing in the log."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        assert (await rest(reader, writer)).endswith((1007).to_bytes(2) + b"Not UTF-8")
        await until(lambda: live.open_now() == 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_stop_with_clients_of_all_kinds() -> None:
    """Each client gets the reason; clients that do not read do not delay the stop."""
    stop = asyncio.Event()
    async with living(Limits(linger=0.2)) as live:
        ending = asyncio.create_task(live.fanout.end_on(stop))
        async with stream(live.url) as one, live.client() as client:
            await say(client, type="subscribe", tiers=["hot"])
            deaf = [await _deaf_stream(live), await _deaf_socket_of(live)]
            await until(lambda: live.open_now() == 4)
            for _ in range(20):
                await live.tell(*ASSETS[:300])
            stop.set()
            live.server.should_exit = True
            assert (await one.until("end")).data == {"msg": "The service is stopping"}
            assert (await heard(client, "end"))["msg"] == "The service is stopping"
        async with asyncio.timeout(allowed(3)):
            while live.server.server_state.connections:
                await asyncio.sleep(0.01)
        await ending
        for each in deaf:
            each.close()


async def _deaf_socket_of(live: Live) -> socket.socket:
    return await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n" + masked(b""))
