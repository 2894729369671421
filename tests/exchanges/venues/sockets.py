"""What Binance, Coinbase and Kraken push, over a real WebSocket, beside what they answer when polled.

Written from the official documentation:
- https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (combined streams, individual symbol
  ticker streams, error messages)
- https://docs.cdp.coinbase.com/exchange/websocket-feed/overview and .../channels (ticker, heartbeat, errors)
- https://docs.kraken.com/api/docs/websocket-v2/ticker, .../heartbeat and .../status
"""

import asyncio
import json
import threading
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import ClassVar

from aiohttp import WSCloseCode, web
from aiohttp.test_utils import TestServer

from tests.exchanges.venues.base import Quote, Venue
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.coinbase import CoinbaseVenue
from tests.exchanges.venues.kraken import KrakenVenue

PERIOD = 0.05  # seconds between two pushed rounds, so that tests need not wait


class Feed:
    """What one exchange pushes. Prices and volumes are texts, sent digit by digit; faults are plain attributes."""

    push_path = "/"
    polled: ClassVar[type[Venue]]

    def __init__(self) -> None:
        self.price, self.volume = "0.00000001234", "8913.300000000000000001"  # pushed
        self.prices: dict[str, str] = {}  # of single pairs, by the venue's name
        self.polled_price = "0.00000001235"
        pairs = [(base, quote) for base in ("btc", "eth", "doge") for quote in ("usdt", "usd")]
        self.rest = self.polled([Quote(*pair, self.polled_price, self.volume) for pair in pairs], self.now)
        self.unlisted: set[str] = set()  # by the venue's name
        self.mute = False  # say and do nothing at all, but hold the connection; what was asked for is done later
        self.overhears: set[str] = set()  # by the venue's name: the next subscription of it is lost
        self.beats_only = False
        self.behind = 0.0  # seconds its clock is
        self.handshake = 101  # or the status that refuses it
        self.retry_after = ""
        self.lose_tickers = False  # trades go on, and the heartbeats know of them
        self.connections = self.rounds = 0
        self.heard: list[dict[str, object]] = []
        self.trades = 1000
        self._open: set[web.WebSocketResponse] = set()
        self._wanted: dict[web.WebSocketResponse, list[str]] = {}
        self._waiting: dict[web.WebSocketResponse, list[dict[str, object]]] = {}
        self._frozen: float | None = None
        self.url = ""

    @property
    def push_url(self) -> str:
        """Where it pushes."""
        return self.url.replace("http", "ws", 1)

    @property
    def polls(self) -> int:
        """How many calls there were."""
        return len(self.rest.asked)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return sum(not socket.closed for socket in self._open)

    def freeze(self) -> None:
        """Let its clock stand still."""
        self._frozen = time.time()

    def now(self) -> float:
        """Its time, in unix seconds."""
        return (self._frozen or time.time()) - self.behind

    def price_of(self, name: str) -> str:
        """Return what it pushes of the pair."""
        return self.prices.get(name, self.price)

    def stamp(self) -> str:
        """Its time, as RFC 3339."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    async def drop(self) -> None:
        """Cut every connection, without a word."""
        for socket in list(self._open):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def hang_up(self) -> None:
        """Close every connection in good order, as Binance does after 24 hours."""
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def say(self, frame: str) -> None:
        """Send these very characters to everybody."""
        for socket in [one for one in self._open if not one.closed]:
            await socket.send_str(frame)

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        if self.handshake != 101:
            return web.Response(status=self.handshake, headers={"Retry-After": self.retry_after})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._wanted[socket], self._waiting[socket] = [], []
        self._open.add(socket)
        telling = asyncio.create_task(self._tell(socket))
        try:
            await self.greet(socket)
            async for message in socket:
                asked = json.loads(message.data)
                self.heard.append(asked)
                if self.mute:
                    self._waiting[socket].append(asked)
                else:
                    await self._hear(socket, asked)
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
            if not self._wanted[socket]:
                continue
            self.trades += 1
            self.rounds += 1
            for name in self._wanted[socket]:
                if not (self.beats_only or self.lose_tickers):
                    await socket.send_str(self.ticker(name, "update"))
                if (beat := self.beat(name)) is not None:
                    await socket.send_str(beat)

    async def greet(self, socket: web.WebSocketResponse) -> None:
        """Say what comes first."""

    @abstractmethod
    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Do what was asked for."""

    @abstractmethod
    def ticker(self, name: str, kind: str) -> str:
        """Return a frame with the pair's ticker now."""

    def beat(self, name: str) -> str | None:  # noqa: ARG002  # not all have one per pair
        """Return a frame that says that it is alive."""
        return None


class BinanceFeed(Feed):
    """Receipts with a result of null; a pair that it does not trade is taken, and never heard of."""

    polled = BinanceVenue
    push_path = "/stream"

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """SUBSCRIBE and UNSUBSCRIBE."""
        names = [str(name).removesuffix("@ticker") for name in asked["params"]]  # type: ignore[attr-defined]  # a list
        wanted = self._wanted[socket]
        if asked["method"] == "SUBSCRIBE":
            wanted += [name for name in names if name not in self.unlisted]
        else:
            wanted[:] = [name for name in wanted if name not in names]
        await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))

    def ticker(self, name: str, kind: str) -> str:  # noqa: ARG002  # they have no kinds here
        """Wrap 24hrTicker as the combined stream does."""
        millis = int(self.now() * 1000)
        return (
            f'{{"stream":"{name}@ticker","data":{{"e":"24hrTicker","E":{millis},"s":"{name.upper()}","p":"0.0015",'
            f'"P":"250.00","w":"0.0018","x":"0.0009","c":"{self.price_of(name)}","Q":"10","b":"0.0024","B":"10",'
            f'"a":"0.0026",'
            f'"A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"{self.volume}","q":"18","O":{millis - 86400000},'
            f'"C":{millis},"F":0,"L":{self.trades},"n":18151}}}}'
        )


class CoinbaseFeed(Feed):
    """A ticker when asked for and at every trade; heartbeats with the newest trade. A wrong product spoils a call."""

    polled = CoinbaseVenue

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe and unsubscribe."""
        names: list[str] = asked["product_ids"]  # type: ignore[assignment]  # a list
        wanted = self._wanted[socket]
        bad = next((name for name in names if name in self.unlisted), None)
        if bad is not None:
            reason = f"{bad} is not a valid product"
            await socket.send_str(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
            return
        if asked["type"] == "subscribe":
            wanted += names
        else:
            wanted[:] = [name for name in wanted if name not in names]
        channels = [{"name": name, "product_ids": wanted} for name in ("ticker", "heartbeat")]
        await socket.send_str(json.dumps({"type": "subscriptions", "channels": channels}))
        if asked["type"] == "subscribe" and not self.beats_only:
            self.lose_tickers = False
            for name in names:
                await socket.send_str(self.ticker(name, "snapshot"))

    def ticker(self, name: str, kind: str, trade: int = 0) -> str:  # noqa: ARG002  # they have no kinds here
        """Return a ticker message; the sequence is that of all that happens, far ahead of the trades."""
        trade = trade or self.trades
        return (
            f'{{"type":"ticker","sequence":{trade * 37},"product_id":"{name}","price":"{self.price_of(name)}",'
            f'"open_24h":"1310.79","volume_24h":"{self.volume}","low_24h":"1280.52","high_24h":"1313.8",'
            '"volume_30d":"245532.79269678","best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27",'
            f'"best_ask_size":"1.56637040","side":"buy","time":"{self.stamp()}","trade_id":{trade},"last_size":"11.4"}}'
        )

    def beat(self, name: str) -> str:
        """Return a heartbeat message."""
        return json.dumps(
            {
                "type": "heartbeat",
                "last_trade_id": self.trades,
                "product_id": name,
                "sequence": self.trades * 37,
                "time": self.stamp(),
            }
        )


class KrakenFeed(Feed):
    """Numbers as JSON numbers; a status first, a snapshot when asked for, a heartbeat when there is nothing else."""

    tells_time = True  # which it has not always done
    push_path = "/v2"
    polled = KrakenVenue

    async def greet(self, socket: web.WebSocketResponse) -> None:
        """Send the status."""
        data = {"api_version": "v2", "connection_id": 12393906104898154338, "system": "online", "version": "2.0.4"}
        await socket.send_str(json.dumps({"channel": "status", "type": "update", "data": [data]}))

    async def serve(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        """Subscribe and unsubscribe; every pair has a receipt of its own."""
        params: dict[str, list[str]] = asked["params"]  # type: ignore[assignment]  # an object
        for name in params["symbol"]:
            await self._serve(socket, str(asked["method"]), name)

    async def _serve(self, socket: web.WebSocketResponse, method: str, name: str) -> None:
        wanted, times = self._wanted[socket], {"time_in": self.stamp(), "time_out": self.stamp()}
        if name in self.unlisted:
            refusal = {"error": f"Currency pair not supported {name}", "method": method, "success": False}
            await socket.send_str(json.dumps(refusal | {"symbol": name} | times))
            return
        result = {"channel": "ticker", "snapshot": True, "symbol": name}
        await socket.send_str(json.dumps({"method": method, "result": result, "success": True} | times))
        if method == "unsubscribe":
            wanted.remove(name)
            return
        wanted.append(name)
        if not self.beats_only:
            await socket.send_str(self.ticker(name, "snapshot"))

    def ticker(self, name: str, kind: str) -> str:
        """Return a ticker message."""
        time_told = f',"timestamp":"{self.stamp()}"' if self.tells_time else ""
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{name}","bid":0.10025,"bid_qty":740.0,'
            f'"ask":0.10036,"ask_qty":1361.44813783,"last":{self.price_of(name)},"volume":{self.volume},"vwap":0.10148,'
            f'"low":0.09979,"high":0.10285,"change":-0.00017,"change_pct":-0.17{time_told}}}]}}'
        )

    def beat(self, name: str) -> str:  # noqa: ARG002  # one for all
        """Return a heartbeat message."""
        return '{"channel":"heartbeat"}'


FEEDS: dict[str, Callable[[], Feed]] = {"binance": BinanceFeed, "coinbase": CoinbaseFeed, "kraken": KrakenFeed}


@asynccontextmanager
async def opened(feed: Feed) -> AsyncIterator[Feed]:
    """Serve it and what is polled, on a port of their own."""
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
    """Serve them on a thread of their own, for a service that is a process."""
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
