"""Live streams of the service as a process: across restarts, across processes, and at shutdown."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from aggregator.live.fanout import CUT_OFF, NOT_KEPT, STOPPING
from tests.parts import redis_server
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.live import Stream, stream
from tests.parts.ports import free_port
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import HOT, INTERVALS, SIZES, SYMBOLS

pytestmark = pytest.mark.real

STOP_SECONDS = allowed(5.0)
MANY = 20


@pytest.fixture
def settings(symbols_file: Path, market: Market) -> dict[str, object]:
    """Return the settings for seven assets that are refreshed at once."""
    return {"exchanges": market.setting, "symbols_file": symbols_file, **SIZES, **INTERVALS}


def socket(service: Service) -> connect:
    """Return a connector that opens a WebSocket."""
    return connect(f"{service.url.replace('http', 'ws')}/ws", proxy=None)


async def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of this type."""
    async with asyncio.timeout(allowed(20)):
        while (message := json.loads(await client.recv()))["type"] != kind:
            pass
    found: dict[str, Any] = message
    return found


async def everything(one: Stream) -> set[str]:
    """Read until each hot asset has had a new price; return the assets received."""
    seen: set[str] = set()
    while not seen >= set(HOT):
        seen.add((await one.until("price")).data["asset"])
    return seen


async def test_prices_as_they_come(tmp_path: Path, settings: dict[str, object]) -> None:
    """Streamed prices equal served ones, over SSE and WebSocket; a client that resumes misses nothing."""
    service = Service(tmp_path, **settings).filled()
    async with stream(service.url) as one, stream(service.url, "?tier=hot") as hot, socket(service) as client:
        snapshot = (await one.until("snapshot")).data["prices"]
        assert {found["asset"] for found in snapshot} == set(SYMBOLS)
        await client.send(json.dumps({"type": "subscribe", "assets": [HOT[0]]}))
        assert [found["asset"] for found in (await receive(client, "snapshot"))["prices"]] == [HOT[0]]
        assert (await receive(client, "price"))["price"]["asset"] == HOT[0]
        assert await everything(hot) == set(HOT)
        first = await one.until("price")
        body = await asyncio.to_thread(service.get, f"/prices/{first.data['asset']}")
        assert set(body.json) == set(first.data)
        everyone = [first, *[await one.until("price") for _ in range(10)]]
    async with stream(service.url, headers={"Last-Event-ID": first.id}) as again:
        assert [await again.until("price") for _ in range(10)] == everyone[1:]
    assert service.process.stop() == 0, service.process.output
    assert "Traceback" not in service.process.output


async def test_a_restart_is_a_gap(tmp_path: Path, settings: dict[str, object]) -> None:
    """At a restart streams end with an event; a resuming client gets a gap event and a snapshot."""
    settings |= {"port": free_port()}
    service = Service(tmp_path, **settings).filled()
    async with stream(service.url) as one:
        last = (await one.until("price")).id
        service.process.signal(SIGTERM)
        assert (await one.until("end")).data == {"msg": STOPPING}
        assert await one.next() is None
    assert service.process.ended(STOP_SECONDS) == 0, service.process.output
    service = Service(tmp_path, **settings).filled()
    async with stream(service.url, headers={"Last-Event-ID": last}) as one:
        gap = await one.next()
        assert gap is not None
        assert (gap.name, gap.data) == ("gap", {"msg": NOT_KEPT.format("prices")})
        assert {found["asset"] for found in (await one.until("snapshot")).data["prices"]} == set(SYMBOLS)
        await one.until("price")
    assert service.process.stop() == 0


def _is_metric(service: Service, series: str, value: float) -> bool:
    return service.metric(series) == value


@asynccontextmanager
async def open_streams(service: Service) -> AsyncIterator[tuple[list[Stream], list[ClientConnection]]]:
    """Open many streams of both kinds."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(stream(service.url, "?tier=hot")) for _ in range(MANY)]
        clients = [await stack.enter_async_context(socket(service)) for _ in range(MANY)]
        for client in clients:
            await client.send('{"type":"subscribe","tiers":["hot"]}')
        yield streams, clients


async def test_across_processes(tmp_path: Path, settings: dict[str, object]) -> None:
    """Two workers stream all prices of a refresher; an outage of Redis is an event, followed by a snapshot."""
    with redis_server.alone() as redis:
        service = Service(tmp_path, workers=2, cache_url=redis.url, **settings).started()
        service.process.wait_for_line(r"(?s)listening.*listening")
        service.filled()
        async with open_streams(service) as (streams, clients):
            await asyncio.gather(*(everything(one) for one in streams))
            await asyncio.gather(*(receive(client, "price") for client in clients))
            for kind in ("sse", "websocket"):
                series = f'price_stream_subscribers{{kind="{kind}"}}'
                await asyncio.to_thread(wait_for, partial(_is_metric, service, series, MANY), what=series)
            redis.process.stop(SIGKILL)
            assert {(await one.until("gap")).data["msg"] for one in streams} == {CUT_OFF.format("prices")}
            assert {(await receive(client, "gap"))["msg"] for client in clients} == {CUT_OFF.format("prices")}
            back = RedisServer(redis.port)
            await asyncio.gather(*(one.until("snapshot") for one in streams))
            await asyncio.gather(*(everything(one) for one in streams))
            await asyncio.gather(*(receive(client, "snapshot") for client in clients))
            await asyncio.gather(*(receive(client, "price") for client in clients))
            service.process.signal(SIGTERM)
            await asyncio.gather(*(one.until("end") for one in streams))
            await asyncio.gather(*(receive(client, "end") for client in clients))
        assert service.process.ended(STOP_SECONDS) == 0, service.process.output
        assert "Traceback" not in service.process.output
        back.stop()


async def test_streams_take_nobody_s_place(tmp_path: Path, settings: dict[str, object]) -> None:
    """Streams beyond their limit are refused; they take no place of requests, even with a concurrency limit of one."""
    service = Service(tmp_path, max_streams=2 * MANY, max_in_flight=1, **settings).filled()
    async with open_streams(service) as (streams, _):
        async with stream(service.url) as one:
            assert (one.status, one.headers["retry-after"]) == (503, "1")
        for _ in range(5):
            assert (await asyncio.to_thread(service.get, "/prices?tier=hot")).status == 200
        series = 'price_api_requests_total{endpoint="/stream",status="200"}'
        assert await asyncio.to_thread(service.metric, series) == MANY
        streams[0].writer.close()
        async with asyncio.timeout(allowed(10)):
            while True:
                async with stream(service.url) as one:
                    if one.status == 200:
                        break
    assert service.process.stop() == 0


async def test_told_to_stop_with_readers_that_do_not_read(tmp_path: Path, settings: dict[str, object]) -> None:
    """SIGTERM with clients that do not read: exit 0 in time; clients that read get the closing event."""
    service = Service(tmp_path, **settings).filled()
    async with open_streams(service) as (streams, clients):
        silent = streams[: MANY // 2]  # the kernel reads into its buffers for them
        for one in streams[MANY // 2 :]:
            await one.until("price")
        service.process.signal(SIGTERM)
        assert {(await one.until("end")).data["msg"] for one in streams[MANY // 2 :]} == {STOPPING}
        for client in clients:
            assert (await receive(client, "end"))["msg"] == STOPPING
            with pytest.raises(ConnectionClosed):
                await client.recv()
        assert await asyncio.to_thread(service.process.ended, STOP_SECONDS) == 0, service.process.output
        assert {(await one.until("end")).data["msg"] for one in silent} == {STOPPING}
    assert "Traceback" not in service.process.output
