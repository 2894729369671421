"""Clients that end their side of the connection after their requests, as `nc -N` does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from aggregator.api.routing.stream_end import announce
from aggregator.api.server.protocol import Protocol
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.observability.metrics import Metrics
from tests.parts.serving import serving, until
from tests.parts.streams import rest

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Slow:
    """An application that answers once `go` is set. A path /stream is announced as a stream."""

    def __init__(self) -> None:
        self.server = Server(self, Limits(), Metrics(CollectorRegistry()), 2)
        self.go = asyncio.Event()
        self.port = self.asked = self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.asked += 1
        if scope["path"] == "/stream":
            announce(scope)
            await send({"type": "http.response.start", "status": 200})
        while (await receive()).get("more_body", False):
            pass
        if scope["path"] == "/stream":
            self.left += (await receive())["type"] == "http.disconnect"
            return
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"DONE"})


@asynccontextmanager
async def running() -> AsyncIterator[Slow]:
    """Serve while the block runs."""
    app = Slow()
    async with serving(app.server) as app.port:
        yield app


@pytest.mark.parametrize("number", [1, 3])
async def test_whole_requests_are_answered(number: int) -> None:
    """The responses come though they begin after the end of the client's side; then the server closes."""
    async with running() as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(GET * number)
        writer.write_eof()
        await until(lambda: app.asked == 1)
        (connection,) = app.server.server_state.connections
        assert isinstance(connection, Protocol)
        if number == 1:  # with more, reading is paused until the first is answered
            await until(lambda: not connection.cycle.keep_alive)
        app.go.set()
        assert (await rest(reader, writer)).count(b"DONE") == number
        await until(lambda: not app.server.server_state.connections)


async def test_part_of_a_body_is_not_answered() -> None:
    """The rest of it cannot come any more."""
    async with running() as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        await until(lambda: app.asked == 1)
        writer.write_eof()
        app.go.set()
        assert b"200" not in await rest(reader, writer)
        await until(lambda: not app.server.server_state.tasks)


async def test_a_stream_ends() -> None:
    """A subscriber that has left looks the same, and must not be kept."""
    async with running() as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: app.asked == 1)
        writer.write_eof()
        await rest(reader, writer)
        await until(lambda: app.left == 1)
