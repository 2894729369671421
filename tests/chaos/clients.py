"""The clients of a chaos run. They reconnect again and again, record everything they receive, and judge nothing.

`sent` is taken before a request is sent and `received` after its response is complete, so both err in favour of the
service.
"""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from time import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import redis.asyncio as redis
from redis.exceptions import RedisError
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from aggregator.live.price_topic import PRICES
from tests.chaos.parts import CHANNEL
from tests.chaos.recorder import EVENT, PUBLISHED, SNAPSHOT, STORED, Record, Reply, Seen
from tests.chaos.wire import Answered, Connection
from tests.parts.live import stream

GOOD = (200, 304)
VISIT = (2.0, 8.0)  # seconds per connection: behind a shared port, the next connection may reach another process
LONGEST_VISIT = 40.0  # read timeout of a stream, in seconds
PAUSE = 0.1  # pause before a reconnect, in seconds
MOST_BODY = 300
BROKEN = (OSError, EOFError, ValueError, AssertionError, WebSocketException)  # all the ways in which a connection ends


class Target(Protocol):
    """The address that clients connect to: one process, or several behind one port."""

    name: str

    @property
    def place(self) -> tuple[str, str]:
        """Its current address (empty while it is down), and the process' name where only one process can be there."""

    def server(self, local_port: int) -> str:
        """Return the name of the process that owns the connection from this local port; empty when it is unknown."""


@dataclass(slots=True)
class Notes:
    """Writes what clients receive into the record."""

    record: Record
    numbers: "count[int]"  # connection numbers; each is used once

    def prices(
        self, client: str, server: str, connection: int, kind: str, sent: float, shown: Sequence[Mapping[str, Any]]
    ) -> None:
        """Record prices that have just been received, in their JSON form."""
        received = time()
        self.record.seen += [_seen(client, server, connection, kind, sent, received, one) for one in shown]


@dataclass(slots=True)
class Client(ABC):
    """A client that connects for a while, disconnects, and connects again."""

    name: str
    target: Target
    notes: Notes
    choice: random.Random
    assets: Sequence[str]

    async def run(self) -> None:
        """Connect to the target again and again, until cancelled."""
        while True:
            url, server = self.target.place
            if url:
                with suppress(*BROKEN):
                    await self._visit(url, server, next(self.notes.numbers), time() + self.choice.uniform(*VISIT))
            await asyncio.sleep(PAUSE)

    @abstractmethod
    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        """Use one connection until the deadline or until it ends."""


@dataclass(slots=True)
class RequestClient(Client):
    """A client that sends one request after the other, `rate` per second."""

    rate: float = 1.0

    @abstractmethod
    def _request(self) -> tuple[str, str]:
        """Return method and path of the next request."""

    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        where = urlsplit(url)
        wire = Connection(where.hostname or "", where.port or 0)
        try:
            while time() < until:
                method, path = self._request()
                answered = await wire.ask(path, method)
                if wire.local_port is not None:
                    server = server or self.target.server(wire.local_port)
                self._note(server, connection, method, answered)
                if wire.local_port is None:  # cut, or closed by the server after this response
                    return
                await asyncio.sleep(self.choice.uniform(0.5, 1.5) / self.rate)
        finally:
            wire.close()

    def _note(self, server: str, connection: int, method: str, answered: Answered) -> None:
        good = answered.status in GOOD
        body = "" if good else answered.body[:MOST_BODY].decode(errors="replace")
        request, sent, received = f"{method} {answered.path}", answered.sent, answered.received
        status = (answered.status, answered.retry_after, body)
        self.notes.record.replies.append(Reply(self.name, self.target.name, server, request, sent, received, *status))
        if good:
            shown = json.loads(answered.body, parse_float=Decimal)
            kind = _kind(method, answered.path)
            self.notes.record.seen += [
                _seen(self.name, server, connection, kind, sent, received, one) for one in shown.get("prices", [shown])
            ]


class PriceReader(RequestClient):
    """GETs one price, several prices, a tier, the sources, or the newest rows of history."""

    def _request(self) -> tuple[str, str]:
        asset, some = self.choice.choice(self.assets), ",".join(self.choice.sample(self.assets, 3))
        paths = {
            f"/prices/{asset}": 10,
            f"/prices?assets={some}": 3,
            "/prices?tier=hot": 2,
            f"/prices/{asset}/sources": 1,
            f"/prices/{asset}/history?limit=3": 1,
        }
        return "GET", self.choice.choices(list(paths), list(paths.values()))[0]


class Refresher(RequestClient):
    """POSTs /refresh of a random asset."""

    def _request(self) -> tuple[str, str]:
        return "POST", f"/refresh/{self.choice.choice(self.assets)}"


@dataclass(slots=True)
class Streamer(Client):
    """Reads GET /stream of all or some assets; every other time it resumes with Last-Event-ID, as a browser does."""

    everything: bool = True
    last_id: str = ""

    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        query = "" if self.everything else f"?assets={','.join(self.assets[::2])}"
        again = {"Last-Event-ID": self.last_id} if self.last_id and self.choice.random() < 0.5 else {}
        sent = time()
        async with asyncio.timeout(LONGEST_VISIT), stream(url, query, again) as one:
            while time() < until and (event := await one.next()) is not None:
                server = server or self.target.server(one.writer.get_extra_info("sockname")[1])
                self.last_id = event.id or self.last_id
                if event.name == "snapshot":
                    self.notes.prices(self.name, server, connection, SNAPSHOT, sent, event.data["prices"])
                elif event.name == "price":
                    self.notes.prices(self.name, server, connection, EVENT, sent, [event.data])


@dataclass(slots=True)
class SocketClient(Client):
    """Subscribes over /ws, to all tiers or to all assets by name."""

    by_tier: bool = True

    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        wanted = {"tiers": ["hot", "medium", "cold"]} if self.by_tier else {"assets": list(self.assets)}
        address = f"{url.replace('http', 'ws', 1)}/ws"
        async with asyncio.timeout(LONGEST_VISIT), connect(address, proxy=None, close_timeout=1) as one:
            sent = time()
            try:
                await one.send(json.dumps({"type": "subscribe", **wanted}))
                while time() < until:
                    message = json.loads(await one.recv(), parse_float=Decimal)
                    server = server or self.target.server(one.local_address[1])
                    if message["type"] == "snapshot":
                        self.notes.prices(self.name, server, connection, SNAPSHOT, sent, message["prices"])
                    elif message["type"] == "price":
                        self.notes.prices(self.name, server, connection, EVENT, sent, [message["price"]])
            finally:
                one.transport.abort()  # a handshake of the close that is cancelled leaves the connection open


@dataclass(slots=True)
class Subscriber:
    """Receives what Redis publishes, and subscribes again after Redis was away."""

    url: str
    notes: Notes

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            with suppress(RedisError, OSError, RuntimeError):  # uvloop's error for a connection that was just closed
                await self._listen(next(self.notes.numbers))
            await asyncio.sleep(PAUSE)

    async def _listen(self, connection: int) -> None:
        client = redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=1)
        async with client, client.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                now = time()
                for one in () if message is None else PRICES.decode(message["data"]):
                    fields = (one.asset, one.price, one.timestamp, one.updated_at)
                    self.notes.record.seen.append(Seen("subscriber", "redis", connection, PUBLISHED, now, now, *fields))


def _kind(method: str, path: str) -> str:
    if method == "POST":
        return "refresh"
    if "/prices?" in path:
        return "list"
    if path.endswith("/sources"):
        return "sources"
    return STORED if "/history" in path else "one"


def _seen(
    client: str, server: str, connection: int, kind: str, sent: float, received: float, shown: Mapping[str, Any]
) -> Seen:
    """Return the record of one price from its JSON form, where whole numbers are int and all others Decimal."""
    updated_at = float(shown["updated_at"]) if "updated_at" in shown else None
    price, timestamp = Decimal(shown["price"]), float(shown["timestamp"])
    return Seen(client, server, connection, kind, sent, received, shown["asset"], price, timestamp, updated_at)
