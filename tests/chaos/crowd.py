"""The clients of a chaos run: readers, one who forces refreshes, streams, sockets, and a subscriber to Redis.

They run in an event loop in a thread of their own, note all that they receive, and judge nothing. `sent` is taken
before a request goes out and `received` after its answer is complete, so both err on the side of the service.
"""

import asyncio
import json
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import redis.asyncio as redis
import uvloop
from redis.exceptions import RedisError
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from aggregator.models import decode_prices
from tests.chaos.parts import CHANNEL
from tests.chaos.recorder import PUBLISHED, STORED, Numbers, Record, Reply, Seen
from tests.chaos.wire import Connection
from tests.parts.live import stream

HTTP_OK, NOT_MODIFIED = 200, 304
LIFE = (2.0, 8.0)  # seconds a connection is kept: with several processes behind a port, the next may get another one
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


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients of each kind a target has, and how often each of them asks (a second)."""

    readers: int = 6
    reads: float = 15
    refreshes: float = 4
    streams: int = 2
    sockets: int = 2


class Crowd:
    """All clients, from the call of `start` to that of `stop`."""

    def __init__(
        self, targets: Sequence[Target], assets: Sequence[str], redis_url: str, record: Record, load: Load, seed: int
    ) -> None:
        self._assets = list(assets)
        self._record = record
        self._numbers = Numbers()
        self._random = random.Random(seed)
        self._stop: asyncio.Event | None = None
        self._clients: list[Callable[[], Awaitable[None]]] = [lambda: self._subscriber(redis_url)]
        for target in targets:
            self._clients += self._clients_of(target, load)
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Let them all come."""
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        """Let them all leave. Raises what one of them failed with."""
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _clients_of(self, target: Target, load: Load) -> list[Callable[[], Awaitable[None]]]:
        seeds = [self._random.random() for _ in range(load.readers + 1)]
        return [
            *(_bound(self._reader, target, f"reader-{n}", load.reads, seeds[n]) for n in range(load.readers)),
            _bound(self._refresher, target, load.refreshes, seeds[-1]),
            *(_bound(self._streamer, target, f"sse-{n}", n) for n in range(load.streams)),
            *(_bound(self._socket, target, f"ws-{n}", n) for n in range(load.sockets)),
        ]

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_run(client)) for client in self._clients]
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as errors:
            self._error = errors

    async def _reader(self, target: Target, client: str, rate: float, seed: float) -> None:
        """GET one price, several, a tier, the sources, or the newest rows of history."""
        choice = random.Random(seed)
        await self._ask_for_ever(target, f"{target.name}/{client}", rate, choice, lambda: ("GET", self._path(choice)))

    async def _refresher(self, target: Target, rate: float, seed: float) -> None:
        """POST /refresh of any asset."""
        choice = random.Random(seed)
        await self._ask_for_ever(
            target,
            f"{target.name}/refresher",
            rate,
            choice,
            lambda: ("POST", f"/refresh/{choice.choice(self._assets)}"),
        )

    def _path(self, choice: random.Random) -> str:
        asset = choice.choice(self._assets)
        some = ",".join(choice.sample(self._assets, 3))
        paths = [f"/prices/{asset}", f"/prices?assets={some}", "/prices?tier=hot", f"/prices/{asset}/sources"]
        return choice.choices([*paths, f"/prices/{asset}/history?limit=3"], [10, 3, 2, 1, 1])[0]

    async def _ask_for_ever(
        self, target: Target, client: str, rate: float, choice: random.Random, request: Callable[[], tuple[str, str]]
    ) -> None:
        while True:
            url, server = target.place
            where = urlsplit(url)
            if not where.port:
                await asyncio.sleep(PAUSE)
                continue
            connection, number = Connection(where.hostname or "", where.port), self._numbers.next()
            over = time() + choice.uniform(*LIFE)
            try:
                while time() < over:
                    method, path = request()
                    answered = await connection.ask(path, method)
                    if connection.local_port is not None:
                        server = server or target.server(connection.local_port)
                    etag = connection.seen.get(path, ("", b""))[0]
                    prices = _priced(path, answered.body, etag) if answered.status in (HTTP_OK, NOT_MODIFIED) else []
                    self._record.replies.append(
                        Reply(
                            client,
                            target.name,
                            server,
                            f"{method} {path}",
                            answered.sent,
                            answered.received,
                            answered.status,
                            answered.retry_after,
                            "" if prices else answered.body[:MOST_BODY].decode(errors="replace"),
                        )
                    )
                    kind = _kind(method, path)
                    for asset, price, timestamp, updated_at in prices:
                        self._record.seen.append(
                            Seen(
                                client,
                                server,
                                number,
                                kind,
                                answered.sent,
                                answered.received,
                                asset,
                                price,
                                timestamp,
                                updated_at,
                            )
                        )
                    if connection.local_port is None:  # it was cut, or the server has said that it closes
                        break
                    await asyncio.sleep(choice.uniform(0.5, 1.5) / rate)
            finally:
                connection.close()
            await asyncio.sleep(PAUSE)

    async def _streamer(self, target: Target, client: str, number: int) -> None:
        """GET /stream of everything or of some; comes again where it was, as a browser does, every other time."""
        choice = random.Random(number)
        query = "" if number % 2 == 0 else f"?assets={','.join(self._assets[::2])}"
        last_id = ""
        while True:
            await asyncio.sleep(PAUSE)
            url, server = target.place
            if not url:
                continue
            connection, sent, over = self._numbers.next(), time(), time() + choice.uniform(*LIFE) * 2
            headers = {"Last-Event-ID": last_id} if last_id and choice.random() < 0.5 else {}
            try:
                async with asyncio.timeout(LIFE[1] * 4), stream(url, query, headers) as one:
                    while time() < over:
                        event = await one.next()
                        if event is None or event.name == "end":
                            break
                        server = server or target.server(one.writer.get_extra_info("sockname")[1])
                        last_id = event.id or last_id
                        shown = event.data.get("prices", []) if event.name == "snapshot" else [event.data]
                        kind = "snapshot" if event.name == "snapshot" else "event"
                        if event.name in ("snapshot", "price"):
                            self._pushed(f"{target.name}/{client}", server, connection, kind, sent, shown)
            except BROKEN:
                pass

    async def _socket(self, target: Target, client: str, number: int) -> None:
        """Subscribe to tiers or to assets over /ws."""
        choice = random.Random(number)
        wanted: dict[str, object] = (
            {"tiers": ["hot", "medium", "cold"]} if number % 2 == 0 else {"assets": self._assets}
        )
        while True:
            await asyncio.sleep(PAUSE)
            url, server = target.place
            if not url:
                continue
            connection, over = self._numbers.next(), time() + choice.uniform(*LIFE) * 2
            try:
                async with (
                    asyncio.timeout(LIFE[1] * 4),
                    connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None, close_timeout=1) as one,
                ):
                    sent = time()
                    await one.send(json.dumps({"type": "subscribe", **wanted}))
                    while time() < over:
                        message = json.loads(await one.recv(), parse_float=Decimal)
                        server = server or target.server(one.local_address[1])
                        if message["type"] == "snapshot":
                            shown, kind = message["prices"], "snapshot"
                        elif message["type"] == "price":
                            shown, kind = [message["price"]], "event"
                        else:
                            continue
                        self._pushed(f"{target.name}/{client}", server, connection, kind, sent, shown)
            except BROKEN:
                pass

    def _pushed(
        self, client: str, server: str, connection: int, kind: str, sent: float, shown: Sequence[Mapping[str, Any]]
    ) -> None:
        received = time()
        self._record.seen += [
            Seen(
                client,
                server,
                connection,
                kind,
                sent,
                received,
                one["asset"],
                _decimal(one["price"]),
                float(one["timestamp"]),
            )
            for one in shown
        ]

    async def _subscriber(self, url: str) -> None:
        """Listen to what Redis publishes; subscribe again when Redis was away."""
        while True:
            connection = self._numbers.next()
            client = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=1)
            try:
                async with client, client.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                        received = time()
                        if message is None:
                            continue
                        self._record.seen += [
                            Seen(
                                "subscriber",
                                "redis",
                                connection,
                                PUBLISHED,
                                received,
                                received,
                                one.asset,
                                one.price,
                                one.timestamp,
                                one.updated_at,
                            )
                            for one in decode_prices(message["data"])
                        ]
            except (RedisError, OSError):
                await asyncio.sleep(PAUSE)


def _bound(function: Callable[..., Awaitable[None]], *arguments: object) -> Callable[[], Awaitable[None]]:
    return lambda: function(*arguments)


async def _run(client: Callable[[], Awaitable[None]]) -> None:
    await client()


def _kind(method: str, path: str) -> str:
    if method == "POST":
        return "refresh"
    if "?assets" in path or "?tier" in path:
        return "list"
    if path.endswith("/sources"):
        return "sources"
    return STORED if "/history" in path else "one"


def _priced(path: str, body: bytes, etag: str) -> list[tuple[str, Decimal, float, float | None]]:
    """Return asset, price, timestamp and, where it is shown, updated_at of each price in an answer."""
    shown = json.loads(body, parse_float=Decimal)
    rows = shown.get("prices", [shown])
    return [
        (row["asset"], _decimal(row["price"]), float(row["timestamp"]), _updated_at(path, row, etag)) for row in rows
    ]


def _updated_at(path: str, row: Mapping[str, Any], etag: str) -> float | None:
    if "updated_at" in row:
        return float(row["updated_at"])
    if path == f"/prices/{row['asset']}" and etag:  # W/"<microseconds of timestamp>-<of updated_at>[s]"
        return int(etag.strip('W/"s').split("-")[1]) / 1e6
    return None


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
