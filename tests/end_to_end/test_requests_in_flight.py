"""Hundreds of requests in flight: beyond the concurrency limit, and at SIGTERM."""

import asyncio
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.end_to_end.raw_requests import QUICK, RARELY, connect, connected, request, status_of, statuses, symbols
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service
from tests.parts.streams import rest

pytestmark = pytest.mark.real

# A fetch is still under way when the last of many requests arrives.
LONG_MS, PATIENT = 4000, {"exchange_timeout": 20}


async def test_a_burst_beyond_the_bound(tmp_path: Path, market: Market) -> None:
    """A burst beyond the concurrency limit is served or refused at once; cached prices and operator routes work."""
    settings = {"symbols_file": symbols(tmp_path), "max_in_flight": 50, **PATIENT, **RARELY}
    service = Service(tmp_path, exchanges=market.setting, **settings).filled()
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=LONG_MS)
    clients = await connected(service, 600)
    for _, writer in clients:
        writer.write(request("POST /refresh/ethusdt"))
    answering = [asyncio.create_task(rest(*client)) for client in clients]
    async with asyncio.timeout(allowed(10)):
        while sum(one.done() for one in answering) < 550:
            await asyncio.sleep(0.01)
    for path in ("/health", "/ready", "/metrics", "/prices/btcusdt"):
        assert (await asyncio.to_thread(service.get, path)).status == 200, path
    assert await asyncio.to_thread(service.metric, "price_api_requests_in_flight") == 51  # and this one
    answers = list(await asyncio.gather(*answering))
    assert statuses(answers) == {200: 50, 503: 550}
    refused = [answer for answer in answers if status_of(answer) == 503]
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in refused)
    assert service.metric('price_api_requests_total{endpoint="/refresh",status="503"}') == 550
    assert service.metric("price_api_requests_in_flight") == 1
    assert service.process.stop() == 0, service.process.output


async def test_sigterm_with_hundreds_of_requests_in_flight(tmp_path: Path, market: Market) -> None:
    """After SIGTERM no request fails: those under way, those on open connections, until a response says `close`."""
    settings = {"symbols_file": symbols(tmp_path), **PATIENT, **RARELY}
    service = Service(tmp_path, exchanges=market.setting, **settings).filled()
    for exchange in market.exchanges.values():
        exchange.faults(latency_ms=LONG_MS)
    waiting, busy, idle = await connected(service, 500), await connected(service, 50), await connected(service, 50)
    for _, writer in idle:
        writer.write(request(QUICK, last=False))
    for reader, _ in idle:
        await reader.readuntil(b"}")
    for _, writer in waiting:
        writer.write(request("POST /refresh/ethusdt", last=False))
    wait_for(lambda: service.metric("price_api_requests_in_flight") == 501)
    fresh: list[bytes] = []
    refused = asyncio.Event()

    async def keep_coming() -> None:
        while not refused.is_set():
            try:
                client = await connect(service)
            except (ConnectionRefusedError, ConnectionResetError):  # a reset during connect: nothing was sent
                refused.set()
                return
            client[1].write(request(QUICK))
            fresh.append(await rest(*client))

    async with asyncio.TaskGroup() as group:
        going_on = [group.create_task(_ask_on(*client)) for client in busy]
        for _ in range(20):
            group.create_task(keep_coming())
        async with asyncio.timeout(allowed(20)):  # until requests are under way
            while not fresh:
                await asyncio.sleep(0.01)
        service.process.signal(SIGTERM)
        answers = await asyncio.gather(*(rest(*client) for client in waiting))
    assert statuses(list(answers)) == {200: 500}
    assert statuses(fresh) == {200: len(fresh)}
    assert [one.result() for one in going_on] == ["told so"] * 50
    assert {await rest(*client) for client in idle} == {b""}
    assert await asyncio.to_thread(service.process.ended) == 0, service.process.output


async def _ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Send requests until a response says that it is the last; return how the connection ended."""
    while True:
        try:
            writer.write(request(QUICK, last=False))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"}")
        except (ConnectionError, asyncio.IncompleteReadError):
            return "cut off"
        if b"connection: close" in head:
            writer.close()
            return "told so"
