"""The part that all local feeds share: a WebSocket that pushes tickers, beside the venue's REST server.

Each venue's own feed is in the file of its REST server, such as `binance.BinanceFeed`.
"""

import asyncio
import json
import threading
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import ClassVar

from aiohttp import WSCloseCode, web
from aiohttp.test_utils import TestServer

from tests.exchanges.venues.base import Quote, Venue

PERIOD = 0.05  # seconds between two pushed rounds, so that tests need not wait


class Feed:
    """The feed of one venue. Prices and volumes are texts, sent digit by digit; faults are plain attributes."""

    push_path = "/"
    polled: ClassVar[type[Venue]]

    def __init__(self) -> None:
        self.price, self.volume = "0.00000001234", "8913.300000000000000001"  # pushed
        self.prices: dict[str, str] = {}  # of single pairs, by the venue's name
        self.polled_price = "0.00000001235"
        pairs = [(base, quote) for base in ("btc", "eth", "doge") for quote in ("usdt", "usd")]
        self.rest = self.polled([Quote(*pair, self.polled_price, self.volume) for pair in pairs], self.now)
        self.unlisted: set[str] = set()  # by the venue's name
        self.mute = False  # sends nothing and keeps the connection; serves the subscriptions later
        self.overhears: set[str] = set()  # by the venue's name: ignores the next subscription
        self.beats_only = False
        self.behind = 0.0  # seconds by which its clock is behind
        self.handshake = 101  # or a status that refuses the handshake
        self.retry_after = ""
        self.lose_tickers = False  # heartbeats go on and have the numbers of the trades
        self.patience: float | None = None  # seconds without a message after which it closes the connection
        self.connections = self.rounds = 0
        self.heard: list[dict[str, object]] = []
        self.trades = 1000
        self._open: set[web.WebSocketResponse] = set()
        self.wanted: dict[web.WebSocketResponse, list[str]] = {}
        self._waiting: dict[web.WebSocketResponse, list[dict[str, object]]] = {}
        self._frozen: float | None = None
        self.url = ""

    @property
    def push_url(self) -> str:
        """The address of the WebSocket."""
        return self.url.replace("http", "ws", 1)

    @property
    def polls(self) -> int:
        """The number of polls."""
        return len(self.rest.asked)

    @property
    def open(self) -> int:
        """The number of open connections."""
        return sum(not socket.closed for socket in self._open)

    def freeze(self) -> None:
        """Stop its clock."""
        self._frozen = time.time()

    def now(self) -> float:
        """Its time, in unix seconds."""
        return (self._frozen or time.time()) - self.behind

    def price_of(self, name: str) -> str:
        """Return the price that it pushes of the pair."""
        return self.prices.get(name, self.price)

    def stamp(self) -> str:
        """Its time, as RFC 3339."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    async def drop(self) -> None:
        """Cut every connection without a close frame."""
        for socket in list(self._open):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def hang_up(self) -> None:
        """Close every connection with a close frame, as Binance does after 24 hours."""
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def say(self, frame: str) -> None:
        """Send this text on every connection."""
        for socket in [one for one in self._open if not one.closed]:
            await socket.send_str(frame)

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.handshake != 101:
            return web.Response(status=self.handshake, headers={"Retry-After": self.retry_after})
        socket = web.WebSocketResponse(receive_timeout=self.patience)
        await socket.prepare(request)
        self.connections += 1
        self.wanted[socket], self._waiting[socket] = [], []
        self._open.add(socket)
        telling = asyncio.create_task(self._tell(socket))
        try:
            await self.greet(socket)
            async for message in socket:
                asked = self.decoded(message.data)
                self.heard.append(asked)
                if self.mute:
                    self._waiting[socket].append(asked)
                else:
                    await self._hear(socket, asked)
        except TimeoutError:
            await socket.close()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            self._open.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        lost = {name for name in self.overhears if name in json.dumps(asked)}
        self.overhears -= lost
        if not lost:
            await self.serve(socket, asked)

    async def _tell(self, socket: web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            if self.mute:
                continue
            while self._waiting[socket]:
                await self._hear(socket, self._waiting[socket].pop(0))
            if not self.wanted[socket]:
                continue
            self.trades += 1
            self.rounds += 1
            for name in self.wanted[socket]:
                if not (self.beats_only or self.lose_tickers):
                    await socket.send_str(self.ticker(name, "update"))
                if (beat := self.beat(name)) is not None:
                    await socket.send_str(beat)

    def decoded(self, text: str) -> dict[str, object]:
        """Return a message of the client."""
        asked: dict[str, object] = json.loads(text)
        return asked

    async def greet(self, socket: web.WebSocketResponse) -> None:
        """Send the first frames of a connection."""

    @abstractmethod
    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Serve a message of the client."""

    @abstractmethod
    def ticker(self, name: str, kind: str) -> str:
        """Return a frame with the pair's current ticker."""

    def beat(self, name: str) -> str | None:  # noqa: ARG002  # not all have one per pair
        """Return a heartbeat of the pair; None if the venue has none per pair."""
        return None


@asynccontextmanager
async def opened(feed: Feed) -> AsyncIterator[Feed]:
    """Serve the feed and its REST server on one port."""
    app = web.Application()
    app.router.add_get(feed.push_path, feed.push)
    app.add_subapp("/polled", feed.rest.application())
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    feed.url = str(server.make_url("")).rstrip("/")
    try:
        yield feed
    finally:
        await feed.drop()
        await server.close()


@contextmanager
def beside(*feeds: Feed) -> Iterator[None]:
    """Serve the feeds on a thread of their own, for a service that is a process."""
    started, ended = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for feed in feeds:
                await stack.enter_async_context(opened(feed))
            loops.append(asyncio.get_running_loop())
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10), "the venues did not start"
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join()
