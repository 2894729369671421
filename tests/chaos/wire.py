"""HTTP as bytes on a connection that is kept: for readers by the hundred, whose own cost must not blur the figures."""

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

PATIENCE = 10.0  # seconds for one answer
NO_ANSWER = 0  # in place of a status


class Answered(msgspec.Struct, frozen=True):
    """One request and what came of it; times in unix seconds."""

    path: str
    sent: float
    received: float
    status: int
    retry_after: bool = False
    body: bytes = b""  # of a 304, the body it confirms; of no answer, the reason

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.received - self.sent


@dataclass(slots=True)
class Connection:
    """One connection, made anew when it is cut. `seen` has tag and body of each path; caches may be shared."""

    host: str
    port: int
    seen: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect, unless it is."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)

    @property
    def local_port(self) -> int | None:
        """The port it comes from; None while it is not connected."""
        return None if self._streams is None else int(self._streams[1].get_extra_info("sockname")[1])

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(self, path: str, method: str = "GET", *, again: bool = False) -> Answered:
        """Make one request; `again`: whether a 304 will do."""
        tag, known = self.seen.get(path, ("", b"")) if again else ("", b"")
        condition = f"If-None-Match: {tag}\r\n" if tag else ""
        sent = time.time()
        try:
            async with asyncio.timeout(PATIENCE):
                head, body = await self._exchange(f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{condition}\r\n")
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:  # a timeout is an OSError
            self.close()
            return Answered(path, sent, time.time(), NO_ANSWER, body=repr(error).encode())
        received = time.time()
        status = int(head[""])
        if "etag" in head and body:
            self.seen[path] = head["etag"], body
        return Answered(path, sent, received, status, "retry-after" in head, body or known)

    async def _exchange(self, request: str) -> tuple[dict[str, str], bytes]:
        """Return headers by lower-case name, with the status under no name, and the body."""
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


async def at_once(host: str, port: int, paths: list[str], method: str = "GET") -> list[Answered]:
    """Send all requests at the same moment, each on a connection that was made, and used, before."""
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
