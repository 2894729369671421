"""A whole answer in one write: what goes over the wire is what it would be in ASGI's two messages."""

import asyncio
import gc
import re
import socket
import time

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.fast_path import AT_ONCE, FastPath
from aggregator.api.price_bodies import PriceBodies
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.live.topics import Bus
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.prices.freshness import FreshnessMetrics
from aggregator.prices.ranking import AccessCounts
from aggregator.stores.memory import MemoryCache
from tests.parts.examples import CADENCE, CATALOG, price
from tests.parts.serving import serving, until
from tests.parts.streams import rest

TTL = {tier: cadence.ttl for tier, cadence in CADENCE.items()}
LINE = b"%b /prices/btcusdt HTTP/1.1\r\nHost: x\r\n"
LAST = b"Connection: close\r\n\r\n"


class Api:
    """One price in memory, served by our server with its own way or without; it counts how often it was taken."""

    def __init__(self, *, at_once: bool) -> None:
        metrics = Metrics(CollectorRegistry())
        self.now = time.time()
        self.cache = MemoryCache(NewestPrices(TTL, lambda: self.now, lambda: self.now), Bus())
        bodies = PriceBodies(CATALOG, lambda: self.now)
        tally = BufferedMetrics(metrics, AccessCounts(metrics, by_symbol=False), FreshnessMetrics(CATALOG, metrics))
        self._app = FastPath(self._nothing, CATALOG, self.cache, bodies, tally, lambda: self.now)
        self._at_once = at_once
        self.counting = True
        self.server = Server(self, Limits(), metrics, 2)
        self.taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self.counting:
            await self._app(scope, receive, send)
            return
        whole = scope["state"].pop(AT_ONCE)

        def counting(status: int, head: bytes, body: bytes) -> bool:
            done: bool = whole(status, head, body)
            self.taken += done
            return done

        if self._at_once:
            scope["state"][AT_ONCE] = counting
        await self._app(scope, receive, send)

    async def _nothing(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("went the long way")


async def test_a_request_leaves_nothing_to_the_collector() -> None:
    """No circles: looking for them in thousands of requests stops the process for as long as 500 answers take."""
    api = Api(at_once=True)
    await api.cache.write([price(timestamp=api.now - 1)])
    api.counting = False
    async with serving(api.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                writer.write(LINE % b"GET" + b"\r\n")
                await reader.readuntil(b"}")
            assert gc.collect() < 100
        finally:
            gc.enable()
            writer.close()


async def said(raw: bytes, *, at_once: bool) -> tuple[bytes, int]:
    """Return all that comes back for these bytes, and how many answers went at once."""
    api = Api(at_once=at_once)
    api.now = 1_800_000_000.0
    await api.cache.write([price(timestamp=api.now - 1)])
    async with serving(api.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        return re.sub(rb"date: [^\r]+", b"date", await rest(reader, writer)), api.taken


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        (LINE % b"GET" + b"\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"HEAD" + b"\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"GET" + b"If-None-Match: *\r\n\r\n" + LINE % b"GET" + LAST, 1),
        (LINE % b"GET" + b"Expect: 100-continue\r\n\r\n" + LINE % b"GET" + LAST, 1),
        ((LINE % b"GET" + b"\r\n") * 50 + LINE % b"GET" + LAST, 50),
        (b"GET /prices/btcusdt HTTP/1.0\r\n\r\n", 0),
    ],
    ids=["get", "head", "not modified", "expecting", "pipelined", "1.0"],
)
async def test_the_same_bytes(raw: bytes, taken: int) -> None:
    """Answers that leave the connection open go at once; the last one says so, the usual way."""
    quick, went = await said(raw, at_once=True)
    usual, _ = await said(raw, at_once=False)
    assert quick == usual
    assert quick.count(b"HTTP/1.1 ") == taken + 1
    assert went == taken


async def test_who_does_not_read_gets_everything_later() -> None:
    """A full buffer is waited for, and every answer comes whole and in order."""
    api = Api(at_once=True)
    await api.cache.write([price(timestamp=api.now - 1)])
    asked = 0

    def is_full() -> bool:
        return any(one.flow.write_paused for one in api.server.server_state.connections)  # type: ignore[union-attr]  # ours

    def is_answered() -> bool:
        return is_full() or api.taken == asked

    async with serving(api.server) as port:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            while not is_full():
                client.sendall((LINE % b"GET" + b"\r\n") * 100)
                asked += 100
                await until(is_answered)
            client.sendall(LINE % b"GET" + LAST)
            answers = await rest(*await asyncio.open_connection(sock=client))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == answers.count(b'"degraded":true}') == asked + 1
    assert 0 < api.taken < asked


async def test_a_stop_ends_the_connection() -> None:
    """Once the server is told to stop, the answer says that it is the last."""
    api = Api(at_once=True)
    await api.cache.write([price(timestamp=api.now - 1)])
    async with serving(api.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        api.server.should_exit = True
        await until(lambda: (b"connection", b"close") in api.server.server_state.default_headers)
        writer.write(LINE % b"GET" + b"\r\n")
        answer = await rest(reader, writer)
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b'"degraded":true}')
    assert api.taken == 0
