"""Responses to clients of HTTP/1.0, on real connections within this process."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.observability.metrics import Metrics
from tests.parts.serving import serving
from tests.parts.streams import rest

PARTS = (b"data: one\n\n", b"", b"data: two\n\n")


async def application(scope: Scope, _: Receive, send: Send) -> None:
    """Send a stream, or a body whose length is known."""
    headers = [(b"Connection", b"keep-alive")]  # as of a library for Server-Sent Events
    if scope["path"] == "/sized":
        headers = [(b"Content-Length", b"%d" % len(b"".join(PARTS)))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in PARTS:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def said(request: bytes) -> tuple[bytes, bytes]:
    """Return head, in lower case, and body of the response to a request."""
    server = Server(application, Limits(linger=0.5), Metrics(CollectorRegistry()), 2)
    async with serving(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head, _, body = (await rest(reader, writer)).partition(b"\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n"])
async def test_a_stream_has_no_chunks(more: bytes) -> None:
    """Its body is what was sent, and ends with the connection, also for a client that would keep it."""
    head, body = await said(b"GET / HTTP/1.0\r\nHost: x\r\n" + more + b"\r\n")
    assert b"transfer-encoding" not in head
    assert [line for line in head.split(b"\r\n") if line.startswith(b"connection")] == [b"connection: close"]
    assert body == b"".join(PARTS)


async def test_other_responses_are_as_they_were() -> None:
    """A body with a length, a HEAD, and HTTP/1.1 with its chunks."""
    head, body = await said(b"GET /sized HTTP/1.0\r\nHost: x\r\n\r\n")
    assert b"content-length: 22" in head
    assert body == b"".join(PARTS)
    head, body = await said(b"HEAD / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert (b"200 ok" in head, b"transfer-encoding" in head, body) == (True, False, b"")
    head, body = await said(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
