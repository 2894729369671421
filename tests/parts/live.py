"""A client of GET /stream on a raw connection: it reads Server-Sent Events as a browser does."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

PATIENCE = 60.0  # time limit for the next event, in seconds


class Event(msgspec.Struct, frozen=True):
    """One event; a comment (heartbeat) has an empty name and only its text."""

    name: str
    data: Any
    id: str = ""


class Stream:
    """An open GET /stream: status, headers, and the events one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.writer = writer
        self._reader = reader
        self._text = ""

    async def begin(self) -> None:
        """Read the response's status line and headers."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}

    async def next(self, *, beats: bool = False) -> Event | None:
        """Return the next event, or None at the end of the stream; with `beats`, heartbeats too."""
        async with asyncio.timeout(PATIENCE):
            while True:
                block = await self._block()
                if block is None:
                    return None
                event = _event(block)
                if event.name or (beats and event.data):
                    return event

    async def until(self, name: str) -> Event:
        """Return the next event of this name; fail at the end of the stream."""
        while (event := await self.next()) is not None:
            if event.name == name:
                return event
        raise AssertionError(f"the stream has ended without {name}")

    async def rest(self) -> list[Event]:
        """Return all events until the stream ends."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found

    async def _block(self) -> str | None:
        while "\n\n" not in self._text:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            self._text += (await self._reader.readexactly(size + 2))[:size].decode()
            if not size:
                return None
        block, _, self._text = self._text.partition("\n\n")
        return block


@asynccontextmanager
async def stream(url: str, query: str = "", headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
    """Open GET /stream of the service at `url`; the connection closes when the block ends."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 24)
    lines = [
        f"GET /stream{query} HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    one = Stream(reader, writer)
    try:
        await one.begin()
        yield one
    finally:
        writer.transport.abort()  # a close waits for a paused server to read the rest of the request


def _event(block: str) -> Event:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    if "event" not in fields:
        return Event("", fields.get("", ""))
    return Event(fields["event"], json.loads(fields["data"], parse_float=Decimal), fields.get("id", ""))
