"""The clients of a chaos run. Each connects again and again, notes all that it receives, and judges nothing.

`sent` is taken before a request goes out and `received` after its answer is complete, so both err on the side of the
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

from aggregator.models import decode_prices
from tests.chaos.parts import CHANNEL
from tests.chaos.recorder import EVENT, PUBLISHED, SNAPSHOT, STORED, Record, Reply, Seen
from tests.chaos.wire import Answered, Connection
from tests.parts.live import stream

GOOD = (200, 304)
VISIT = (2.0, 8.0)  # seconds a connection is kept: with several processes behind a port, the next may get another one
LONGEST_VISIT = 40.0  # seconds for a stream on which nothing comes
PAUSE = 0.1  # seconds before a client connects again
MOST_BODY = 300
BROKEN = (OSError, EOFError, ValueError, AssertionError, WebSocketException)  # a connection that ended, in any way


class Target(Protocol):
    """Where clients connect: one process, or several behind one port."""

    name: str

    @property
    def place(self) -> tuple[str, str]:
        """Its address now, empty while it is down, and the name of the process there where it can be only one."""

    def server(self, local_port: int) -> str:
        """Return the name of the process that has the other end of the connection from that port, or nothing."""


@dataclass(slots=True)
class Notes:
    """Where clients write."""

    record: Record
    numbers: "count[int]"  # of connections, each given once

    def prices(
        self, client: str, server: str, connection: int, kind: str, sent: float, shown: Sequence[Mapping[str, Any]]
    ) -> None:
        """Note prices that have just been received, as JSON shows them."""
        received = time()
        self.record.seen += [_seen(client, server, connection, kind, sent, received, one) for one in shown]


@dataclass(slots=True)
class Client(ABC):
    """Somebody who is at the target for a while, and then again."""

    name: str
    target: Target
    notes: Notes
    choice: random.Random
    assets: Sequence[str]

    async def run(self) -> None:
        """Visit the target, for ever."""
        while True:
            url, server = self.target.place
            if url:
                with suppress(*BROKEN):
                    await self._visit(url, server, next(self.notes.numbers), time() + self.choice.uniform(*VISIT))
            await asyncio.sleep(PAUSE)

    @abstractmethod
    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        """Connect, and stay until then or until the connection ends."""


@dataclass(slots=True)
class Asker(Client):
    """Sends one request after the other, at a `rate` (a second)."""

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
                if wire.local_port is None:  # it was cut, or the server has said that it closes
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


class Reader(Asker):
    """GETs one price, several, a tier's, the sources, or the newest rows of history."""

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


class Refresher(Asker):
    """POSTs /refresh of any asset."""

    def _request(self) -> tuple[str, str]:
        return "POST", f"/refresh/{self.choice.choice(self.assets)}"


@dataclass(slots=True)
class Streamer(Client):
    """GETs /stream of everything or of some; comes again where it was, as a browser does, every other time."""

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
    """Subscribes to all tiers, or to all assets by name, over /ws."""

    by_tier: bool = True

    async def _visit(self, url: str, server: str, connection: int, until: float) -> None:
        wanted = {"tiers": ["hot", "medium", "cold"]} if self.by_tier else {"assets": list(self.assets)}
        address = f"{url.replace('http', 'ws', 1)}/ws"
        async with asyncio.timeout(LONGEST_VISIT), connect(address, proxy=None, close_timeout=1) as one:
            sent = time()
            await one.send(json.dumps({"type": "subscribe", **wanted}))
            while time() < until:
                message = json.loads(await one.recv(), parse_float=Decimal)
                server = server or self.target.server(one.local_address[1])
                if message["type"] == "snapshot":
                    self.notes.prices(self.name, server, connection, SNAPSHOT, sent, message["prices"])
                elif message["type"] == "price":
                    self.notes.prices(self.name, server, connection, EVENT, sent, [message["price"]])


@dataclass(slots=True)
class Subscriber:
    """Hears what Redis publishes, and subscribes again when Redis was away."""

    url: str
    notes: Notes

    async def run(self) -> None:
        """Listen, for ever."""
        while True:
            with suppress(RedisError, OSError, RuntimeError):  # uvloop's, for a connection that has just been closed
                await self._listen(next(self.notes.numbers))
            await asyncio.sleep(PAUSE)

    async def _listen(self, connection: int) -> None:
        client = redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=1)
        async with client, client.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                now = time()
                for one in () if message is None else decode_prices(message["data"]):
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
    """Return a price as JSON shows it; in which a whole number is an int, and all others are Decimal."""
    updated_at = float(shown["updated_at"]) if "updated_at" in shown else None
    price, timestamp = Decimal(shown["price"]), float(shown["timestamp"])
    return Seen(client, server, connection, kind, sent, received, shown["asset"], price, timestamp, updated_at)
