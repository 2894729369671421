"""Bodies in chunks whose end is malformed, or has trailers, on real connections within this process."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.observability.metrics import Metrics
from tests.parts.limits import allowed
from tests.parts.serving import serving, until

BODIES = frozenset({"/body"})
HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = b'{"msg":"Invalid HTTP request received","code":"invalid_request"}'


class Reading:
    """An application that reads the whole body of a request, and answers with its size."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.left = 0  # requests whose client left before the end of the body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        self.headers = list(scope["headers"])
        body = b"%d bytes" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def answer_to(raw: bytes) -> tuple[bytes, Reading]:
    """Send this to a server and return the answer, and the application."""
    app = Reading()
    server = Server(app, Limits(bodies=BODIES, linger=0.5), Metrics(CollectorRegistry()), 2)
    async with serving(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        async with asyncio.timeout(allowed(10)):
            answer = await reader.read()
        await until(lambda: not server.server_state.connections)  # though the client does not close it
        writer.close()
    return answer, app


@pytest.mark.parametrize("chunks", [b"zz\r\nabc\r\n", b"-1\r\nabc\r\n", b"3\r\nabc\r\n3\r\nabcd\r\n"])
async def test_a_malformed_chunk_is_refused_at_once(chunks: bytes) -> None:
    """400 although the application waits for the rest of the body; it learns that there is none."""
    answer, app = await answer_to(HEAD + chunks)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(REFUSED)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert app.left == 1


SMUGGLED = b"3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x00",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: 3, 3",
        b"Content-Length: +3",
        b"Content-Length: 0x3",
        b"Content-Length:",
    ],
)
async def test_a_body_whose_end_is_in_doubt(framing: bytes) -> None:
    """400 and the end of the connection: a proxy before us may see another end, and other requests behind it."""
    answer, app = await answer_to(b"POST /body HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b" % (framing, SMUGGLED))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not app.headers


async def test_trailers_are_no_headers() -> None:
    """A header that decides, such as Host or X-Forwarded-For, counts only in the head, which proxies look at."""
    trailers = b"Host: y\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Encoding: gzip\r\n"
    answer, app = await answer_to(HEAD + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n")
    assert answer.endswith(b"3 bytes")
    assert [name for name, _ in app.headers] == [b"host", b"connection", b"transfer-encoding"]
    assert (b"host", b"x") in app.headers


async def test_trailers_of_a_request_that_waits_for_its_turn() -> None:
    """Two requests in one packet: the second is read while the first is answered."""
    first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer, app = await answer_to(first + HEAD + b"3\r\nabc\r\n0\r\nHost: y\r\n\r\n")
    assert answer.endswith(b"3 bytes")
    assert [value for name, value in app.headers if name == b"host"] == [b"x"]


@pytest.mark.parametrize("trailers", [b"a: b\r\n" * 30_000, b"X: " + b"x" * 200_000])
async def test_trailers_are_as_large_as_a_head_at_most(trailers: bytes) -> None:
    """400, though the application bounds the body itself: it does not see trailers, which would fill the memory."""
    answer, app = await answer_to(HEAD + b"3\r\nabc\r\n0\r\n" + trailers)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"msg":"The trailers are larger than 65536 bytes","code":"invalid_request"}')
    assert app.left == 1


async def test_many_small_chunks_are_no_trailers() -> None:
    """Their framing is larger than a head may be, and than the body."""
    answer, _ = await answer_to(HEAD + b"1\r\nx\r\n" * 50_000 + b"0\r\nX: y\r\n\r\n")
    assert answer.endswith(b"50000 bytes")
