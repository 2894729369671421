"""A raw HTTP client on persistent connections, cheap enough for hundreds of readers beside the service."""

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from tests.parts.limits import allowed

PATIENCE = allowed(10.0)  # time limit for one answer, in seconds
NO_ANSWER = 0  # the status of a request without an answer
KEPT = 4.0  # seconds that the server keeps an idle connection for certain; it closes one after 5 s


class Answered(msgspec.Struct, frozen=True):
    """A request and its outcome; times in unix seconds."""

    path: str
    sent: float
    received: float
    status: int
    retry_after: bool = False
    body: bytes = b""  # for a 304, the body it confirms; without an answer, the reason

    @property
    def seconds(self) -> float:
        """The duration of the request."""
        return self.received - self.sent


@dataclass(slots=True)
class Connection:
    """A connection that reopens after a cut. `seen` has the ETag and body of each path; connections may share it.

    If the server has closed it because it was idle, the request is sent once more, as every HTTP client does.
    """

    host: str
    port: int
    seen: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    _used: float = 0.0  # time of the last answer

    async def open(self) -> None:
        """Connect, unless connected."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)

    @property
    def local_port(self) -> int | None:
        """The local port; None while not connected."""
        return None if self._streams is None else int(self._streams[1].get_extra_info("sockname")[1])

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()  # a close waits for a paused server to read the rest of a request
            self._streams = None

    async def ask(self, path: str, method: str = "GET", *, again: bool = False) -> Answered:
        """Send one request; with `again`, a 304 is accepted."""
        tag, known = self.seen.get(path, ("", b"")) if again else ("", b"")
        condition = f"If-None-Match: {tag}\r\n" if tag else ""
        sent = time.time()
        try:
            async with asyncio.timeout(PATIENCE):
                request = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{condition}\r\n"
                head, body = await self._exchange_again(request)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:  # includes TimeoutError
            self.close()
            return Answered(path, sent, time.time(), NO_ANSWER, body=repr(error).encode())
        received = self._used = time.time()
        status = int(head[""])
        if "etag" in head and body:
            self.seen[path] = head["etag"], body
        return Answered(path, sent, received, status, "retry-after" in head, body or known)

    async def _exchange_again(self, request: str) -> tuple[dict[str, str], bytes]:
        idle = self._streams is not None and time.time() - self._used > KEPT
        try:
            return await self._exchange(request)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if not idle or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                raise
            self.close()
            return await self._exchange(request)

    async def _exchange(self, request: str) -> tuple[dict[str, str], bytes]:
        """Return the headers by lower-case name, the status under the empty name, and the body."""
        await self.open()
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(request.encode())
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        head[""] = first.split(" ")[1]
        body = await reader.readexactly(int(head.get("content-length", "0")))
        if head.get("connection") == "close":
            self.close()
        return head, body


async def send_together(host: str, port: int, paths: list[str], method: str = "GET") -> list[Answered]:
    """Send all requests at the same moment, each on its own warm connection."""
    connections = [Connection(host, port) for _ in paths]
    try:
        for some in range(0, len(connections), 100):
            await asyncio.gather(*(one.ask("/health") for one in connections[some : some + 100]))
        return list(
            await asyncio.gather(*(one.ask(path, method) for one, path in zip(connections, paths, strict=True)))
        )
    finally:
        for one in connections:
            one.close()
