"""A real HTTP server on 127.0.0.1 that answers with the bytes that a test gives it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress

from tests.parts.limits import allowed
from tests.parts.tcp_server import port_of, tcp_server

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Site:
    """The answers by path, and the requests that came: first line, headers by names in lower case, and bodies."""

    def __init__(self) -> None:
        self.port = 0
        self.server: asyncio.Server
        self.answers: dict[str, bytes | Handler] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.bodies: list[bytes] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close."""
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError):  # the client may go
            await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((head[0], headers))
        self.bodies.append(body)
        answer = self.answers.get(head[0].split()[1].partition("?")[0], reply(b"", "404 Not Found"))
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(writer)
        await writer.drain()


def reply(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer; `_` stands for `-` in the names of headers."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def site(tls: ssl.SSLContext | None = None, lasting: float = 60) -> AsyncIterator[Site]:
    """Serve while the block runs, which takes at most `lasting` seconds."""
    one = Site()
    async with tcp_server(one.serve, tls=tls) as one.server:
        one.port = port_of(one.server)
        async with asyncio.timeout(allowed(lasting)):
            yield one
