"""A response in one write: the bytes on the wire are those of ASGI's two messages, and those without the fast path."""

import asyncio
import gc
import re
import socket
import time
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from starlette.types import Receive, Scope, Send

from aggregator.api.fast_path.get import FastPath
from aggregator.api.server.direct_write import DIRECT_WRITE, DirectWrite, take_direct_write
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from tests.parts.examples import price
from tests.parts.price_api import PriceApi
from tests.parts.serving import serving, until
from tests.parts.streams import rest

Way = Literal["at once", "direct write", "two messages", "no fast path"]
each_way = pytest.mark.parametrize("way", ["at once", "direct write", "two messages", "no fast path"])

LINE = b"%b /prices/btcusdt HTTP/1.1\r\nHost: x\r\n"
LAST = b"Connection: close\r\n\r\n"


class Served:
    """One price, served by our server; counts direct writes, requests served at once, and finished requests."""

    def __init__(self, way: Way, now: float | None = None) -> None:
        self.api = PriceApi(fast_path=way != "no fast path")
        self.api.now = time.time() if now is None else now
        self.server = Server(
            self,
            Limits(),
            self.api.metrics,
            2,
            direct_write=way in ("at once", "direct write"),
            respond=self.respond if way == "at once" else None,
        )
        self.counting = True
        self.written = self.finished = self.at_once = 0

    def respond(self, scope: Mapping[str, Any], write: DirectWrite) -> bool:
        """As `Respond`."""
        assert isinstance(self.api.app, FastPath)
        is_answered = self.api.app.respond(scope, write)
        self.at_once += is_answered
        self.finished += is_answered
        return is_answered

    async def add_price(self) -> None:
        """Put the price into the cache."""
        await self.api.cache.write([price(timestamp=self.api.now - 1)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self.counting:
            self._count_direct_write(scope)
        await self.api.app(scope, receive, send)
        self.finished += 1

    def _count_direct_write(self, scope: Scope) -> None:
        write = take_direct_write(scope)
        if write is None:
            return

        def counted(status: int, head: bytes, body: bytes) -> bool:
            written: bool = write(status, head, body)
            self.written += written
            return written

        scope["state"][DIRECT_WRITE] = counted


@pytest.mark.parametrize("way", ["at once", "direct write"])
async def test_a_request_leaves_nothing_to_the_collector(way: Way) -> None:
    """No reference cycles: collecting those of thousands of requests stops the process for as long as 500 answers."""
    served = Served(way)
    await served.add_price()
    served.counting = False
    async with serving(served.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                writer.write(LINE % b"GET" + b"\r\n")
                await reader.readuntil(b"}")
            assert gc.collect() < 100
        finally:
            gc.enable()
            writer.close()
    assert served.api.starlette_requests == 0
    assert served.at_once == (100 if way == "at once" else 0)


async def answers_to(raw: bytes, way: Way) -> tuple[bytes, Served]:
    """Return all bytes that come back for these, the date left out."""
    served = Served(way, now=1_800_000_000.0)
    await served.add_price()
    async with serving(served.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        return re.sub(rb"date: [^\r]+", b"date: x", await rest(reader, writer)), served


def headers_in_order(raw: bytes) -> bytes:
    """Return responses with their headers sorted by name, and without X-Request-ID, which only Starlette's have."""
    without_ids = re.sub(rb"x-request-id: [^\r]+\r\n", b"", raw)
    return re.sub(
        rb"(HTTP/1\.1 [^\r]+\r\n)((?:[^\r]+\r\n)*)\r\n",
        lambda found: found[1] + b"".join(sorted(found[2].splitlines(keepends=True))) + b"\r\n",
        without_ids,
    )


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (LINE % b"GET" + b"\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"HEAD" + b"\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"GET" + b"If-None-Match: *\r\n\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"GET" + b"Expect: 100-continue\r\n\r\n" + LINE % b"GET" + LAST, 1),
        ((LINE % b"GET" + b"\r\n") * 50 + LINE % b"GET" + LAST, 50),
        (b"GET /prices/btcusdt HTTP/1.0\r\n\r\n", 0),
    ],
    ids=["get", "head", "not modified", "expecting", "pipelined", "1.0"],
)
async def test_the_same_bytes(raw: bytes, written: int) -> None:
    """Responses that leave the connection open are written directly; the last one goes through uvicorn's `send`."""
    direct, served = await answers_to(raw, "direct write")
    at_once, served_at_once = await answers_to(raw, "at once")
    in_two, served_in_two = await answers_to(raw, "two messages")
    by_starlette, served_by_starlette = await answers_to(raw, "no fast path")
    assert at_once == direct == in_two
    assert headers_in_order(direct) == headers_in_order(by_starlette)
    assert direct.count(b"HTTP/1.1 ") == written + 1
    assert served_at_once.at_once == min(written, 1)  # the others came in the same packet
    assert served_at_once.written == written - served_at_once.at_once
    assert (served.written, served_in_two.written, served_by_starlette.written) == (written, 0, 0)
    assert served.api.starlette_requests == served_in_two.api.starlette_requests == 0
    assert served_by_starlette.api.starlette_requests == written + 1


@each_way
async def test_a_client_that_does_not_read_gets_everything_later(way: Way) -> None:
    """A full buffer is waited for, and every answer comes whole and in order."""
    served = Served(way)
    await served.add_price()
    asked = 0

    def is_full() -> bool:
        connections = served.server.server_state.connections
        return any(one.flow.write_paused for one in connections)  # type: ignore[union-attr]  # ours

    def is_answered() -> bool:
        return is_full() or served.finished == asked

    # The system's usual buffer takes ten thousand answers.
    async with serving(served.server, send_buffer=4096) as port:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            while not is_full():
                client.sendall((LINE % b"GET" + b"\r\n") * 100)
                asked += 100
                await until(is_answered)
            client.sendall(LINE % b"GET" + LAST)
            answers = await rest(*await asyncio.open_connection(sock=client))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == answers.count(b'"degraded":true}') == asked + 1
    if way in ("at once", "direct write"):
        assert 0 < served.written < asked
    else:
        assert served.written == 0


@each_way
async def test_a_stop_ends_the_connection(way: Way) -> None:
    """After the server was told to stop, the answer says that it is the last."""
    served = Served(way)
    await served.add_price()
    async with serving(served.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        served.server.should_exit = True
        await until(lambda: (b"connection", b"close") in served.server.server_state.default_headers)
        writer.write(LINE % b"GET" + b"\r\n")
        answer = await rest(reader, writer)
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b'"degraded":true}')
    assert served.written == served.at_once == 0


async def test_an_error_at_once_is_reported_by_the_task(caplog: pytest.LogCaptureFixture) -> None:
    """500 and a line in the log, as for an error in the application; not 400, as for an error of the parser."""
    served = Served("at once")
    served.api.app = failing
    served.server.server_state.respond = failing_at_once
    async with serving(served.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE % b"GET" + b"\r\n")
        assert (await rest(reader, writer)).startswith(b"HTTP/1.1 500 ")
    assert "ZeroDivisionError" in caplog.text


async def failing(_: Scope, __: Receive, ___: Send) -> None:
    """Raise an error that nobody expects."""
    raise ZeroDivisionError


def failing_at_once(_: Mapping[str, object], __: DirectWrite) -> bool:
    """Raise the same error."""
    raise ZeroDivisionError
