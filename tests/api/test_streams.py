"""Live prices over real connections of this process: readers that stop reading, and clients that mean no good."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aggregator.accesses import Accesses
from aggregator.api.app import build
from aggregator.api.bodies import Bodies
from aggregator.api.ending import SLOW
from aggregator.api.snapshots import Snapshots
from aggregator.api.socket import SocketRoute
from aggregator.api.stream import StreamRoute
from aggregator.fanout import CUT_OFF, NOT_KEPT, Fanout
from aggregator.hub import Hub
from aggregator.lookup import Lookup
from aggregator.metrics import Metrics
from aggregator.models import Tier
from aggregator.service.server import Server
from aggregator.service.socket_protocol import SocketProtocol
from aggregator.service.unread import Limits
from aggregator.stores.memory import MemoryCache
from aggregator.tiers import Cadence, assign
from tests.parts.examples import NOW, price
from tests.parts.live import Stream, stream
from tests.parts.serving import serving, until
from tests.parts.streams import rest

HASTY = Limits(request=0.5, unread=0.5, linger=0.5)
ASSETS = [f"asset{number}" for number in range(1500)]
UPGRADE = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


class Live:
    """Streams of many assets that are all hot, served on a port."""

    def __init__(self, limits: Limits, most: int = 100, seconds: float | None = None) -> None:
        catalog = assign([(name, "", "") for name in ASSETS], len(ASSETS), 0, dict.fromkeys(Tier, Cadence(5)))
        self.metrics = Metrics(CollectorRegistry())
        self.hub = Hub()
        self.cache = MemoryCache(dict.fromkeys(Tier, 600.0), self.hub)
        accesses = Accesses(self.metrics, by_symbol=False)
        lookup = Lookup(catalog, self.cache, self.cache, None, self.metrics, accesses, lambda: NOW)  # type: ignore[arg-type]  # nobody asks for a refresh
        self.fanout = Fanout(catalog, self.metrics, most, 2000, seconds, current=True, now=lambda: NOW)
        self.hub.listen(self.fanout)
        snapshots = Snapshots(catalog, lookup, Bodies(catalog, lambda: NOW), self.fanout)
        parts = (catalog, self.fanout, snapshots)
        app = build([*StreamRoute(*parts).routes(), *SocketRoute(*parts).routes()], self.metrics, 1)
        self.server = Server(app, limits, self.metrics, 2)
        self.port = 0
        self._at = NOW

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def tell(self, *assets: str) -> None:
        """Publish a new price of each."""
        self._at += 0.001
        await self.cache.write([price(asset, self._at) for asset in assets])

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def open_now(self) -> float:
        """Return how many streams there are."""
        return sum(self.value("price_stream_subscribers", kind=kind) for kind in ("sse", "websocket"))

    def client(self) -> connect:
        """Return what opens a WebSocket."""
        return connect(f"ws://127.0.0.1:{self.port}/ws", proxy=None)

    async def stopped(self, request: bytes) -> socket.socket:
        """Ask, and read nothing."""
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", self.port))
        deaf.sendall(request)
        return deaf


@asynccontextmanager
async def living(limits: Limits = HASTY, **bounds: Any) -> AsyncIterator[Live]:
    """Serve until the block ends; no connection is left then."""
    one = Live(limits, **bounds)
    async with serving(one.server) as one.port:
        yield one


async def say(client: ClientConnection, **message: object) -> dict[str, Any]:
    """Say this and return the answer."""
    await client.send(json.dumps(message))
    return await hear(client)


async def hear(client: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await client.recv())
    return found


async def test_what_a_stream_says() -> None:
    """First what there is, in parts of at most a thousand and with what is not listed, then what is new."""
    async with living() as live:
        await live.tell(*ASSETS)
        async with stream(live.url) as one:
            parts = [await one.until("snapshot"), await one.until("snapshot")]
            assert [len(part.data["prices"]) for part in parts] == [1000, 500]
            assert [part.id for part in parts] == ["", live.fanout.last_id]
            await live.tell("asset7")
            event = await one.until("price")
            assert (event.data["asset"], event.id) == ("asset7", live.fanout.last_id)
        async with stream(live.url, "?assets=ASSET1,nosuch,a%2Fb") as one:
            data = (await one.until("snapshot")).data
            assert [found["asset"] for found in data["prices"]] == ["asset1"]
            assert [found["asset"] for found in data["missing"]] == ["nosuch", "a/b"]
        assert one.headers["content-type"].startswith("text/event-stream")
        await until(lambda: live.open_now() == 0)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("?tier=warm", 400, "tier must be some of hot,medium,cold"),
        ("?tier=", 400, "tier must be some of hot,medium,cold"),
        ("?tier=hot,", 400, "tier must be some of hot,medium,cold"),
        ("?tier=hot&assets=asset1", 400, "Give either assets=btcusdt,ethusdt or tier=hot, or neither for all"),
        ("?assets=", 400, "Name at least one asset"),
        ("?assets=%00", 400, "Invalid asset symbol"),
        ("?assets=nosuch", 404, "Asset not found"),
        ("?assets=" + "a," * 1001, 400, "1002 assets are too many: at most 1000 in one call"),
    ],
)
async def test_what_cannot_be_streamed(query: str, status: int, message: str) -> None:
    """It is refused with the reason before anything begins."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(f"GET /stream{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await rest(reader, writer)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"msg": message}
        assert live.open_now() == 0


async def test_going_on() -> None:
    """Behind the last event that was seen, without a gap; where that cannot be, with a gap and a snapshot."""
    async with living() as live:
        async with stream(live.url, "?tier=hot,cold") as one:
            last = (await one.until("snapshot")).id
        await live.tell("asset1", "asset2")
        async with stream(live.url, headers={"Last-Event-ID": last}) as one:
            assert [(await one.until("price")).data["asset"] for _ in range(2)] == ["asset1", "asset2"]
        async with stream(live.url, headers={"Last-Event-ID": "00000000-1"}) as one:
            gap, snapshot = await one.next(), await one.next()
            assert gap is not None
            assert (gap.name, gap.data) == ("gap", {"msg": NOT_KEPT})
            assert snapshot is not None
            assert [found["asset"] for found in snapshot.data["prices"]] == ["asset1", "asset2"]


async def test_a_crowd_shares_a_snapshot() -> None:
    """Prices are read once for all who come at about the same time, and nobody misses what comes meanwhile."""
    async with living() as live:
        await live.tell(*ASSETS[:10])
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(stream(live.url)) for _ in range(50)]
            await live.tell("asset3")
            for one in crowd:
                assert len((await one.until("snapshot")).data["prices"]) == 10
            await live.tell("asset4")
            for one in crowd:
                while (await one.until("price")).data["asset"] != "asset4":
                    pass
        assert live.value("price_cache_hits_total") == 10


async def test_cut_off_and_back() -> None:
    """Both kinds say the gap at once, and how things stand once nothing is missed any more."""
    async with living() as live, stream(live.url) as one, live.client() as client:
        await one.until("snapshot")
        assert (await say(client, type="subscribe", tiers=["hot"]))["type"] == "subscribed"
        assert await hear(client) == {"type": "snapshot", "prices": []}
        live.hub.disconnect()
        assert (await one.until("gap")).data == {"msg": CUT_OFF}
        assert await hear(client) == {"type": "gap", "msg": CUT_OFF}
        await live.cache.write([price("asset1", NOW)])
        live.hub.connect()
        for data in ((await one.until("snapshot")).data, await heard(client, "snapshot")):
            assert [found["asset"] for found in data["prices"]] == ["asset1"]


async def heard(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of this type."""
    while (message := await hear(client))["type"] != kind:
        pass
    return message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"type":"sub', "Not understood: Input data was truncated"),
        ("", "Not understood: Input data was truncated"),
        ("[]", "Not understood: Expected `object`, got `array`"),
        ('{"type":"say"}', "Not understood: Invalid enum value 'say' - at `$.type`"),
        ('{"type":"subscribe","asset":"x"}', "Not understood: Object contains unknown field `asset`"),
        ('{"type":"subscribe","tiers":["warm"]}', "Not understood: Invalid enum value 'warm' - at `$.tiers[0]`"),
        ('{"type":"subscribe"}', "Name assets or tiers"),
        ('{"type":"unsubscribe","assets":["a/b"]}', "Not among our assets: a/b"),
        ('{"type":"subscribe","assets":["nosuch","\\ud800"]}', None),
        (b"\xff\xfe", None),
        ("[" * 60_000, None),
        (
            json.dumps({"type": "subscribe", "assets": ["x"] * 1001}),
            "Not understood: Expected `array` of length <= 1000 - at `$.assets`",
        ),
    ],
)
async def test_what_is_not_understood(said: str | bytes, message: str | None) -> None:
    """An error says why, and the connection goes on."""
    async with living() as live, live.client() as client:
        await client.send(said)
        error = await hear(client)
        assert error["type"] == "error"
        assert error["msg"] == message or message is None
        assert len(error["msg"]) <= 500
        assert await say(client, type="subscribe", assets=["asset1"]) == {
            "type": "subscribed",
            "assets": ["asset1"],
            "tiers": [],
        }


async def test_subscribing_as_one_goes() -> None:
    """More, less, by asset and by tier; at most a thousand by name."""
    async with living() as live, live.client() as client:
        await live.tell("asset1", "asset2")
        await say(client, type="subscribe", assets=["ASSET1", "nosuch"])  # the error
        assert (await hear(client))["assets"] == ["asset1"]
        assert [found["asset"] for found in (await hear(client))["prices"]] == ["asset1"]
        await live.tell("asset2", "asset1")
        assert (await hear(client))["price"]["asset"] == "asset1"
        assert (await say(client, type="subscribe", assets=ASSETS[:1000]))["type"] == "subscribed"
        assert len((await hear(client))["prices"]) == 2
        assert (await say(client, type="subscribe", assets=ASSETS[1000:1001]))["type"] == "error"
        assert (await say(client, type="unsubscribe", assets=ASSETS[:1000]))["assets"] == []
        assert (await say(client, type="subscribe", tiers=["hot", "hot"]))["tiers"] == ["hot"]
        await hear(client)
        await live.tell("asset3")
        assert (await hear(client))["price"]["asset"] == "asset3"
        assert (await say(client, type="unsubscribe", tiers=["hot"]))["tiers"] == []
        await live.tell("asset3")
        assert (await say(client, type="subscribe"))["type"] == "error"  # and no price came before it


async def test_there_is_an_end_to_how_many() -> None:
    """Both kinds together: 503 and when to come again; they take nobody else's place, and leave room again."""
    async with living(most=2) as live, stream(live.url) as one:
        async with live.client() as client:
            async with stream(live.url) as third:
                assert (third.status, third.headers["retry-after"]) == (503, "1")
            with pytest.raises(InvalidStatus) as refusal:
                await live.client()
            assert refusal.value.response.status_code == 503
            assert refusal.value.response.headers["retry-after"] == "1"
            assert json.loads(refusal.value.response.body) == {"msg": "Too many streams are open"}
            for _ in range(3):  # the only request that may be under way
                async with asyncio.timeout(5):
                    assert await status_of(live, b"GET /openapi.json") == 200
            await client.close()
        await until(lambda: live.open_now() == 1)
        assert one.status == 200
        async with stream(live.url) as again:
            assert again.status == 200


async def status_of(live: Live, line: bytes) -> int:
    """Return the status of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return int((await rest(reader, writer)).split(b" ")[1])


async def test_streams_that_may_not_last() -> None:
    """They end with a word, and their readers go on where they were."""
    async with living(seconds=0.3) as live:
        async with stream(live.url) as one, live.client() as client:
            last = (await one.until("snapshot")).id
            (end,) = await one.rest()
            assert end.name == "end"
            assert (await hear(client))["type"] == "end"
            with pytest.raises(ConnectionClosed) as closed:
                await hear(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        async with stream(live.url, headers={"Last-Event-ID": last}) as one:
            assert [event.name for event in await one.rest()] == ["end"]
        assert live.value("price_stream_dropped_total", reason="expired") == 3


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_who_stops_reading_is_cut_off(kind: str) -> None:
    """What waits for it is bounded meanwhile; it is told where it comes round to it, and nobody else waits."""
    ask: dict[str, Callable[[Live], Any]] = {"sse": _deaf_stream, "websocket": _deaf_socket}
    async with living() as live, stream(live.url) as healthy:
        deaf = await ask[kind](live)
        await until(lambda: live.open_now() == 2)
        last = ""
        while not live.value("price_stream_dropped_total", reason="slow"):
            await live.tell(*ASSETS[:300])
            last = live.fanout.last_id
            while (await healthy.until("price")).id != last:
                pass
            await asyncio.sleep(0.01)
        assert live.value("price_stream_conflated_total") > 0
        assert live.value("price_api_connections_cut_total", reason="unread") == 1
        deaf.setblocking(False)  # noqa: FBT003  # the socket's own signature
        said = await rest(*await asyncio.open_connection(sock=deaf))
        assert SLOW.encode() in said[-100:]
        await until(lambda: live.open_now() == 1)


async def _deaf_stream(live: Live) -> socket.socket:
    return await live.stopped(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")


async def _deaf_socket(live: Live) -> socket.socket:
    deaf = await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
    await until(lambda: live.open_now() == 2)
    deaf.sendall(masked(b'{"type":"subscribe","tiers":["hot"]}'))
    return deaf


def masked(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """Return a small frame as a client sends it."""
    return bytes([opcode | (0x80 if final else 0), 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def test_an_idle_stream_is_left_alone() -> None:
    """However long nothing comes, as long as what came was read."""
    async with living() as live, stream(live.url) as one, live.client() as client:
        await one.until("snapshot")
        await say(client, type="subscribe", tiers=["hot"])
        await hear(client)
        for connection in list(live.server.server_state.connections):
            for later in (100, 200, 300):
                connection.sweep(asyncio.get_running_loop().time() + later)  # type: ignore[union-attr]
            wire = connection.transport.get_extra_info("socket")
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 65_536  # where it would wait in vain
        await live.tell("asset1")
        assert (await one.until("price")).data["asset"] == "asset1"
        assert (await hear(client))["price"]["asset"] == "asset1"


@pytest.mark.parametrize(
    ("flood", "reason"),
    [
        (masked(b"{}") * 20_000, "flood"),
        (masked(b"x", final=False) + masked(b"", 0, final=False) * 20_000, "flood"),
    ],
)
async def test_too_many_messages(flood: bytes, reason: str) -> None:
    """More than anyone needs to say, whole or in pieces, ends the connection."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(flood)
        await rest(reader, writer)
        await until(lambda: live.value("price_stream_dropped_total", reason=reason) == 1)
        assert live.open_now() == 0


async def test_who_does_not_answer_a_ping() -> None:
    """It is taken for gone."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        await until(lambda: live.open_now() == 1)
        (connection,) = live.server.server_state.connections
        assert isinstance(connection, SocketProtocol)
        connection.send_keepalive_ping()
        connection.keepalive_timeout()
        assert b"keepalive ping timeout" in await rest(reader, writer)
        await until(lambda: live.value("price_stream_dropped_total", reason="silent") == 1)
        assert live.open_now() == 0


async def test_pings_whose_answers_are_not_read() -> None:
    """They fill no memory: the connection ends."""
    async with living(Limits()) as live:
        deaf = await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
        deaf.setblocking(False)  # noqa: FBT003  # the socket's own signature
        with pytest.raises(ConnectionError):
            await flooded(deaf, masked(b"x" * 100, 9) * 1000)
        deaf.close()
        assert live.value("price_api_connections_cut_total", reason="unread") == 1
        await until(lambda: live.open_now() == 0)


async def flooded(deaf: socket.socket, part: bytes) -> None:
    """Send this again and again."""
    async with asyncio.timeout(20):
        while True:
            await asyncio.get_running_loop().sock_sendall(deaf, part)


async def test_a_message_that_is_too_large() -> None:
    """64 KB are read; beyond, the connection ends."""
    async with living() as live:
        async with live.client() as client:
            await client.send("x" * 65_536)
            assert (await hear(client))["type"] == "error"
        async with live.client() as client:
            await client.send("x" * 65_537)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nosuch HTTP/1.1\r\n" + UPGRADE + KEY, 404),
        (b"GET /prices/btcusdt HTTP/1.1\r\n" + UPGRADE + KEY, 404),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE, 400),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Key: x\r\n", 400),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"12") + KEY, 400),
        (b"POST /ws HTTP/1.1\r\nContent-Length: 0\r\n" + UPGRADE + KEY, None),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: y\r\n" * 500, 431),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: " + b"x" * 12_000 + b"\r\n", 431),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"X: " + b"x" * 40_000 + b"\r\n", 431),
        (b"GET /ws?" + b"x" * 12_000 + b" HTTP/1.1\r\n" + UPGRADE + KEY, 431),
        (b"GET /ws\xff HTTP/1.1\r\n" + UPGRADE + KEY, None),
        (b"GET /ws HTTP/1.1\r\nX: \xff\r\n" + UPGRADE + KEY, 101),
        (b"GET /ws HTTP/1.0\r\n" + UPGRADE + KEY, None),
        (b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", None),
    ],
)
async def test_what_is_no_websocket(request_: bytes, status: int | None, caplog: pytest.LogCaptureFixture) -> None:
    """It gets an answer, or the connection ends; never a crash, never a wait without end."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(request_ + b"\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read(65536)
        writer.close()
        assert status is None or answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert not answer.startswith(b"HTTP/1.1 5")
        await until(lambda: not live.server.server_state.connections)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_stop_with_readers_of_all_kinds() -> None:
    """Each gets a word, those who do not read do not hold it up."""
    stop = asyncio.Event()
    async with living(Limits(linger=0.2)) as live:
        ending = asyncio.create_task(live.fanout.end_on(stop))
        async with stream(live.url) as one, live.client() as client:
            await say(client, type="subscribe", tiers=["hot"])
            deaf = [await _deaf_stream(live), await _deaf_socket_of(live)]
            await until(lambda: live.open_now() == 4)
            for _ in range(20):
                await live.tell(*ASSETS[:300])
            stop.set()
            live.server.should_exit = True
            assert (await one.until("end")).data == {"msg": "The service is stopping"}
            assert (await heard(client, "end"))["msg"] == "The service is stopping"
        async with asyncio.timeout(3):
            while live.server.server_state.connections:
                await asyncio.sleep(0.01)
        await ending
        for each in deaf:
            each.close()


async def _deaf_socket_of(live: Live) -> socket.socket:
    return await live.stopped(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n" + masked(b""))


async def test_a_beat_is_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which no browser shows to anyone."""
    monkeypatch.setattr("aggregator.api.stream.HEARTBEAT", 0.05)
    async with living() as live, stream(live.url) as one:
        assert await beat(one) == "still here"


async def beat(one: Stream) -> str:
    """Return the next comment."""
    while (event := await one.next(beats=True)) is not None:
        if not event.name and not event.data.isdigit():
            return str(event.data)
    return ""
