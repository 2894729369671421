"""Live prices served from this process, and WebSocket clients that talk to it."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect

from aggregator.api.app import build
from aggregator.api.prices.bodies import PriceBodies
from aggregator.api.prices.snapshots import PriceSnapshots
from aggregator.api.server.server import Server
from aggregator.api.server.slow_readers import Limits
from aggregator.api.streams.socket import SocketRoute
from aggregator.api.streams.stream import StreamRoute
from aggregator.live.fanout import Fanout
from aggregator.live.price_topic import PRICES, PricePresenter
from aggregator.live.snapshots import Snapshots
from aggregator.live.topics import AnyTopic, Bus
from aggregator.models import Tier
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.prices.lookup import Lookup
from aggregator.prices.ranking import AccessCounts
from aggregator.prices.tiers import Cadence, assign
from aggregator.stores.memory import MemoryCache
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed
from tests.parts.serving import serving

HASTY = Limits(request=0.5, unread=0.5, linger=0.5)
ASSETS = [f"asset{number}" for number in range(1500)]
UPGRADE = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


class Live:
    """A server of live streams for many assets, all of them hot. `topics` are served beside prices.

    `clock` is that of the cached snapshots.
    """

    def __init__(
        self,
        limits: Limits,
        most: int = 100,
        seconds: float | None = None,
        topics: Sequence[AnyTopic] = (),
        kept: int = 2000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        catalog = assign([(name, "", "") for name in ASSETS], len(ASSETS), 0, dict.fromkeys(Tier, Cadence(5)))
        self.metrics = Metrics(CollectorRegistry())
        self.hub = Bus([PRICES, *topics])
        self.cache = MemoryCache(NewestPrices(dict.fromkeys(Tier, 600.0)), self.hub)
        accesses = AccessCounts(self.metrics, by_symbol=False)
        lookup = Lookup(catalog, self.cache, self.cache, None, self.metrics, accesses, lambda: NOW)  # type: ignore[arg-type]  # these routes never request a refresh
        self.fanout = Fanout(self.hub, catalog, self.metrics, most, kept, seconds, current=True, now=lambda: NOW)
        self.fanout.serve(PRICES, PricePresenter(catalog, self.cache.newest))
        self.fanout.serve_rest()
        prices = PriceSnapshots(catalog, lookup, self.cache.newest, PriceBodies(catalog, lambda: NOW), clock)
        parts = (catalog, self.hub.topics, self.fanout, Snapshots(self.fanout, {PRICES.name: prices}))
        app = build([*StreamRoute(*parts).routes(), *SocketRoute(*parts).routes()], self.metrics, 1)
        self.server = Server(app, limits, self.metrics, 2)
        self.port = 0
        self._at = NOW

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def tell(self, *assets: str) -> None:
        """Publish a new price of each asset."""
        self._at += 0.001
        await self.cache.write([price(asset, self._at) for asset in assets])

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def open_now(self) -> float:
        """Return the number of open streams."""
        return sum(self.value("price_stream_subscribers", kind=kind) for kind in ("sse", "websocket"))

    def client(self) -> connect:
        """Return a connector that opens a WebSocket to the server."""
        return connect(f"ws://127.0.0.1:{self.port}/ws", proxy=None)

    async def stopped(self, request: bytes) -> socket.socket:
        """Open a raw connection, send a request, and never read the response."""
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", self.port))
        deaf.sendall(request)
        return deaf


@asynccontextmanager
async def living(limits: Limits = HASTY, **bounds: Any) -> AsyncIterator[Live]:
    """Serve until the block ends; then check that no connection is left."""
    one = Live(limits, **bounds)
    async with serving(one.server) as one.port:
        yield one


async def say(client: ClientConnection, **message: object) -> dict[str, Any]:
    """Send this message and return the answer."""
    await client.send(json.dumps(message))
    return await hear(client)


async def hear(client: ClientConnection) -> dict[str, Any]:
    """Receive the next message."""
    async with asyncio.timeout(allowed(10)):
        found: dict[str, Any] = json.loads(await client.recv())
    return found


async def heard(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Receive messages until one has this type; return it."""
    while (message := await hear(client))["type"] != kind:
        pass
    return message
