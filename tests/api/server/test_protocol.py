"""The limits of one client, on real connections within this process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send

from aggregator.api.server.server import Server, address_of, listening
from aggregator.api.server.slow_readers import Limits
from aggregator.observability.metrics import Metrics
from tests.parts.serving import serving, until
from tests.parts.streams import rest

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HASTY = Limits(request=0.5, unread=0.5, linger=0.5)
# For tests whose client behaves well: client and server share a loop, and a busy machine may stop both for a second.
UNHURRIED = Limits(unread=5.0, linger=0.5)
BIG = 32 * 1024 * 1024  # more than the kernels' buffers take


class Running:
    """A server and its application, with the paths that were requested and answered."""

    def __init__(self, limits: Limits) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.server = Server(self, limits, self.metrics, 2)
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.go = asyncio.Event()
        self.port = 0

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request, according to its path."""
        path = scope["path"]
        self.asked.append(path)
        if path == "/wait":
            await self.go.wait()
        body = b"x" * BIG if path == "/big" else b"DONE"
        head: Message = {"type": "http.response.start", "status": 200}
        head["headers"] = [(b"content-length", b"%d" % len(body))]
        await send(head)
        if path == "/stream":
            await self.go.wait()
        for first in range(0, len(body), 65536):
            part = body[first : first + 65536]
            await send({"type": "http.response.body", "body": part, "more_body": first + 65536 < len(body)})
        self.answered.append(path)

    def cut(self, reason: str) -> float:
        """Return how many connections were ended for this reason."""
        return self.metrics.registry.get_sample_value("price_api_connections_cut_total", {"reason": reason}) or 0.0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a client."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, raw: bytes) -> bytes:
        """Send this and return all that comes back until the connection ends."""
        reader, writer = await self.connect()
        writer.write(raw)
        return await rest(reader, writer)


@asynccontextmanager
async def running(limits: Limits) -> AsyncIterator[Running]:
    """Run a server with these limits."""
    one = Running(limits)
    async with serving(one.server) as one.port:
        yield one


@pytest.mark.parametrize("size", [60_000, 65_000])
async def test_a_large_head_that_is_allowed(size: int) -> None:
    """Up to the limit it is answered, however it is split into packets, and so is the next request."""
    async with running(UNHURRIED) as server:
        reader, writer = await server.connect()
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * size + b"\r\n\r\n")
            assert (await reader.readuntil(b"DONE")).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("size", [90_000, 1_000_000, 20_000_000])
@pytest.mark.parametrize("form", [b"X: %b", b"/%b", b"X: x\r\n%b"])
async def test_a_head_that_is_too_large(size: int, form: bytes) -> None:
    """431 in the form of all refusals, for one header, many headers or a URL; the application is not called."""
    filler = b"a: b\r\n" * (size // 6) if b"\n" in form else b"x" * size
    raw = (b"GET " if form.startswith(b"/") else b"GET / HTTP/1.1\r\n") + form % filler
    async with running(HASTY) as server:
        answer = await server.say(raw)
        if size < 4_000_000:  # beyond, the connection is aborted, and the refusal may be lost
            assert answer.startswith(b"HTTP/1.1 431 ")
            assert answer.endswith(b'{"msg":"The head is larger than 65536 bytes","code":"head_too_large"}')
        assert not server.asked
        assert server.cut("head") == 1


async def test_a_head_that_does_not_end() -> None:
    """408 at the deadline, though bytes keep arriving; after whole requests too."""
    async with running(HASTY) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        await reader.readuntil(b"DONE")

        async def trickle() -> None:
            for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        answer = await rest(reader, writer)
        trickling.cancel()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.endswith(b'{"msg":"No whole request within 0.5 s","code":"request_too_slow"}')
        assert server.cut("slow") == 1


@pytest.mark.parametrize("raw", [b"", GET + b"\r\n"])
async def test_a_silent_client_is_disconnected_without_a_response(raw: bytes) -> None:
    """After connecting, and also after a blank line, which stops uvicorn's own timer."""
    async with running(HASTY) as server:
        answer = await server.say(raw)
        assert answer.count(b"HTTP/1.1 ") == bool(raw)


async def test_a_slow_answer_is_no_slow_request() -> None:
    """The deadline is for requests; the response to a whole request may take longer."""
    async with running(HASTY) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: server.asked == ["/wait"])
        for _ in range(5):
            for connection in list(server.server.server_state.connections):
                connection.sweep(asyncio.get_running_loop().time() + 100)  # type: ignore[union-attr]
        server.go.set()
        await reader.readuntil(b"DONE")
        writer.close()


@pytest.mark.parametrize("path", [b"/", b"/wait"])
@pytest.mark.parametrize("part", [b"400\r\n" + b"x" * 1024 + b"\r\n", b"1;" + b"x" * 1024 + b"\r\nx\r\n"])
async def test_an_endless_body(path: bytes, part: bytes) -> None:
    """Chunks, or chunk extensions, without an end: at most one answer, and the connection ends."""
    async with running(HASTY) as server:
        reader, writer = await server.connect()
        writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path)

        async def go_on() -> None:
            while True:
                writer.write(part)
                await writer.drain()

        sending = asyncio.create_task(go_on())
        await until(lambda: bool(server.asked))
        server.go.set()
        await until(lambda: server.cut("body") == 1)
        answer = await rest(reader, writer)
        await asyncio.gather(sending, return_exceptions=True) if sending.done() else sending.cancel()
        assert answer.count(b"HTTP/1.1 ") <= 1
        await until(lambda: not server.server.server_state.connections)
        assert server.asked == [path.decode()]


async def test_bodies_of_many_requests_do_not_add_up() -> None:
    """Many requests on one connection, each body a moment after its head."""
    async with running(HASTY) as server:
        reader, writer = await server.connect()
        for _ in range(30):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n")
            await reader.readuntil(b"DONE")
            writer.write(b"x" * 3000)
        writer.close()
        assert server.cut("body") == 0


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    """Its application task ends and nothing is kept; a client that reads gets the whole response."""
    async with running(UNHURRIED) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            reading = await server.connect()
            reading[1].write(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert len(await rest(*reading)) > BIG
            await until(lambda: server.cut("unread") == 1)
            await until(lambda: server.answered == ["/big", "/big"])
            await until(lambda: not server.server.server_state.connections)


async def test_thousands_of_requests_at_once_on_one_connection() -> None:
    """900 are answered one by one; 100,000 are not queued in memory, the connection is aborted."""
    async with running(UNHURRIED) as server:
        reader, writer = await server.connect()
        writer.write(GET * 900)
        for _ in range(900):
            await reader.readuntil(b"DONE")
        writer.close()
        await server.say(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 100_000)
        assert server.cut("pipelined") == 1


async def test_a_connection_aborted_with_requests_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """The response under way is dropped, the requests behind it are not started, and no error is logged."""
    async with running(HASTY) as server:
        _, writer = await server.connect()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + GET * 3)
        await until(lambda: server.asked == ["/wait"])
        (connection,) = server.server.server_state.connections
        connection.transport.abort()  # while reading is paused, a client that leaves is not noticed
        await until(lambda: not server.server.server_state.connections)
        server.go.set()
        await until(lambda: not server.server.server_state.tasks)
        writer.close()
        assert server.asked == ["/wait"]
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_too_many_connections_are_refused() -> None:
    """503 with Retry-After; after one has left, another is accepted."""
    async with running(Limits(connections=2)) as server:
        first, second = await server.connect(), await server.connect()
        await until(lambda: len(server.server.server_state.connections) == 2)
        answer = await server.say(b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        first[1].close()
        await until(lambda: len(server.server.server_state.connections) == 1)
        third = await server.connect()
        for reader, writer in (second, third):
            writer.write(GET)
            await reader.readuntil(b"DONE")
            writer.close()


async def test_a_stop_answers_the_connected_clients() -> None:
    """Those under way, just connected, or in the port's queue get their answers; an idle one is disconnected."""
    one = Running(Limits())
    with listening("127.0.0.1", 0) as listener:
        one.port = listener.getsockname()[1]
        serving = asyncio.create_task(one.server.serve([listener]))
        await until(lambda: one.server.started)
        waiting, idle, silent = await one.connect(), await one.connect(), await one.connect()
        waiting[1].write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        idle[1].write(GET)
        await idle[0].readuntil(b"DONE")
        await until(lambda: "/wait" in one.asked)
        one.server.should_exit = True
        queued = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(50)]
        for each in queued:
            each.sendall(GET)
        await until(lambda: (b"connection", b"close") in one.server.server_state.default_headers)
        silent[1].write(GET)
        one.go.set()
        assert (await rest(*waiting)).endswith(b"DONE")
        assert (await rest(*silent)).endswith(b"DONE")
        for each in queued:
            answer = await rest(*await asyncio.open_connection(sock=each))
            assert answer.endswith(b"DONE")
        assert await rest(*idle) == b""
        await serving


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_address_is_a_url(host: str, shown: str) -> None:
    """An address of IPv6 is in brackets."""
    with listening(host, 0) as listener:
        assert address_of(listener) == f"http://{shown}:{listener.getsockname()[1]}"
