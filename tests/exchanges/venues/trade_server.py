"""The part that all local venues with trades share: a feed of them, and a REST call for the recent ones.

Each venue's own part is in `trade_venues`. A test makes trades; those made while `loses` is set reach no connection,
and only the REST call has them.
"""

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer


class Made(msgspec.Struct, frozen=True):
    """A trade as the venue knows it; numbers are texts, so that every digit is sent. `bought`: the taker did."""

    number: int
    price: str
    volume: str
    micros: int
    bought: bool

    @property
    def seconds(self) -> str:
        """Its time as JSON seconds."""
        return f"{self.micros // 1_000_000}.{self.micros % 1_000_000:06}"

    @property
    def millis(self) -> int:
        """Its time."""
        return self.micros // 1000

    @property
    def stamp(self) -> str:
        """Its time as RFC 3339."""
        whole = datetime.fromtimestamp(self.micros // 1_000_000, UTC)
        return f"{whole:%Y-%m-%dT%H:%M:%S}.{self.micros % 1_000_000:06}Z"


class TradeVenue:
    """One venue; names are its own."""

    push_path: ClassVar[str]
    rest_path: ClassVar[str]
    btc: ClassVar[str]  # its name of btcusdt in frames
    rest_btc: ClassVar[str]  # its name in the REST call
    keeps_micros: ClassVar[bool] = False

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.connections = 0
        self.heard: list[dict[str, object]] = []
        self.asked: list[str] = []
        self.loses = False
        self.handshake = 101
        self.rest_status = 200
        self.body: str | None = None  # answered by the REST call in place of trades
        self.keeps = 10_000  # trades that the REST call answers at most
        self.url = ""
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}
        self._number = 7_000_000

    @property
    def push_url(self) -> str:
        """The address of the WebSocket."""
        return self.url.replace("http", "ws", 1)

    @property
    def subscribed(self) -> bool:
        """Whether a connection is subscribed to btcusdt."""
        return any(self.btc in names for names in self._sockets.values())

    async def trade(self, count: int = 1, volume: str = "0.25") -> list[Made]:
        """Make trades of btcusdt, and send each in a frame unless it is lost."""
        made = []
        for _ in range(count):
            self._number += 1
            one = Made(self._number, f"97250.1200{self._number}", volume, time.time_ns() // 1000, self._number % 2 == 0)
            if not self.keeps_micros:
                one = msgspec.structs.replace(one, micros=one.micros // 1000 * 1000)
            self.made.append(one)
            made.append(one)
            if not self.loses:
                await self.say(self._frame(one), self.btc)
        return made

    async def say(self, frame: str, name: str = "") -> None:
        """Send a frame on every connection, or on those subscribed to `name`."""
        for socket, names in list(self._sockets.items()):
            if not name or name in names:
                await socket.send_str(frame)

    async def drop(self) -> None:
        """Cut every connection without a close frame."""
        for socket in list(self._sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.handshake != 101:
            return web.Response(status=self.handshake)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets[socket] = set()
        try:
            async for message in socket:
                if message.data == "ping":
                    await socket.send_str("pong")
                    continue
                asked = json.loads(message.data)
                self.heard.append(asked)
                names, subscribes = self._names_in(asked)
                self._sockets[socket] = (self._sockets[socket] | names) if subscribes else self._sockets[socket] - names
                await socket.send_str(self._receipt(asked))
        finally:
            self._sockets.pop(socket, None)
        return socket

    async def recent(self, request: web.Request) -> web.Response:
        """Answer with the recent trades: of btcusdt those made, of other pairs none."""
        self.asked.append(request.path_qs)
        if self.rest_status != 200:
            return web.json_response({"message": "no"}, status=self.rest_status)
        if self.body is not None:
            return web.Response(text=self.body, content_type="application/json")
        made = self.made[-self.keeps :] if self.keeps and self.rest_btc in request.path_qs else []
        return web.Response(text=self._answer(made), content_type="application/json")

    def frame(self, one: Made) -> str:
        """Return the frame of a trade of btcusdt."""
        return self._frame(one)

    @abstractmethod
    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        """Return the names in a message of the client, and whether it subscribes."""

    @abstractmethod
    def _receipt(self, asked: Mapping[str, object]) -> str:
        """Return the answer to a message of the client."""

    @abstractmethod
    def _frame(self, one: Made) -> str:
        """Return the frame of a trade of btcusdt."""

    @abstractmethod
    def _answer(self, made: Sequence[Made]) -> str:
        """Return the body of the REST call, from trades with the oldest first."""


@asynccontextmanager
async def trading(venue: TradeVenue) -> AsyncIterator[TradeVenue]:
    """Serve both interfaces of the venue on one port."""
    app = web.Application()
    app.router.add_get(venue.push_path, venue.push)
    if venue.rest_path != venue.push_path:
        app.router.add_get(venue.rest_path, venue.recent)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    venue.url = str(server.make_url("")).rstrip("/")
    try:
        yield venue
    finally:
        await venue.drop()
        await asyncio.sleep(0)
        await server.close()
