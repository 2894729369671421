"""Endless, broken, slow and flooding bodies of POST /ingest: documented statuses only, bounded memory, no stall."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from aggregator.trades.market_pb2 import MarketUpdate
from tests.chaos.ingest_client import LINES, NOW, PROTOBUF, TYPES, Ingest, trade, trades
from tests.parts.limits import allowed
from tests.parts.process import wait_for

pytestmark = pytest.mark.real


def chunk(data: bytes) -> bytes:
    """Return a chunk of a body in chunked encoding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def endless(part: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    """Yield a part again and again."""
    while True:
        yield part
        await asyncio.sleep(pause)


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("part", [b"x", b" ", b"9" * 65_536], ids=["x", "space", "nines"])
async def test_a_body_without_end(ingest: Ingest, content_type: str, part: bytes) -> None:
    """A body that never ends is refused when it is too large."""
    answer = await ingest.stream(endless(chunk(part * (65_536 // len(part)))), content_type, CHUNKED)
    assert answer is None or answer.status == 413


async def test_lines_without_end(ingest: Ingest) -> None:
    """Lines may go on for ever: they are stored as they come, and the memory stays bounded when the client leaves."""
    sent = 0

    async def lines() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000:
            yield chunk(trades(range(sent, sent + 500), "solusdt"))
            sent += 500
        await asyncio.Event().wait()

    before, count = ingest.memory, len(ingest.stored("solusdt"))
    task = asyncio.create_task(ingest.stream(lines(), LINES, CHUNKED))
    async with asyncio.timeout(allowed(60)):
        while sent < 50_000:
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(wait_for, lambda: len(ingest.stored("solusdt")) > count)
    assert ingest.memory - before < 64 << 20


@pytest.mark.parametrize("content_type", TYPES)
async def test_a_byte_at_a_time(ingest: Ingest, content_type: str) -> None:
    """A body may come a byte at a time; it is read as any other."""
    update = MarketUpdate(ticker="btcusdt", price=5, volume=1, timestamp_ns=int(NOW * 1e9)).SerializeToString()
    body = update if content_type == PROTOBUF else trade(f"slow-{content_type}")

    async def bytewise() -> AsyncIterator[bytes]:
        for byte in body:
            yield chunk(bytes([byte]))
            await asyncio.sleep(0)
        yield b"0\r\n\r\n"

    answer = await ingest.stream(bytewise(), content_type, CHUNKED)
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "rest",
    [b"", b"zz\r\n", b"-1\r\nx\r\n", b"ffffffffffffffffff\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"1\r\nxyz", b"1" * 100_000],
    ids=lambda rest: f"{rest[:6]!r}",
)
async def test_broken_chunks(ingest: Ingest, content_type: str, rest: bytes) -> None:
    """A chunked body that breaks, or a client that leaves in the middle of one, harms no other request."""

    async def broken() -> AsyncIterator[bytes]:
        yield chunk(b'{"asset":')
        yield rest

    reading = asyncio.create_task(ingest.stream(broken(), content_type, CHUNKED))
    await asyncio.wait([reading], timeout=0.3)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await asyncio.to_thread(ingest.service.get, "/health")).status == 200


async def test_a_flood_of_bad_lines(ingest: Ingest) -> None:
    """A million lines that are no trades delay no other request for long, and their dead letters fill no memory."""
    before, slowest = ingest.memory, 0.0
    flood = asyncio.create_task(ingest.stream(once(b"\0\n" * 1_000_000), LINES, {"Content-Length": "2000000"}))
    while not flood.done():
        began = time.monotonic()
        assert (await asyncio.to_thread(ingest.service.get, "/health")).status == 200
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    answer = await flood
    assert answer is not None
    assert answer.status == 400
    found = json.loads(answer.body)
    assert (found["rejected_count"], len(found["rejected"])) == (1_000_000, 1_000)
    assert slowest < allowed(0.5)
    assert ingest.memory - before < 64 << 20


async def once(part: bytes) -> AsyncIterator[bytes]:
    """Yield a part."""
    yield part


async def test_many_bodies_that_stand_still(ingest: Ingest) -> None:
    """A hundred clients that send half a body and wait keep no other client from storing trades."""
    waiting = []
    for number in range(100):
        parts = still(b'{"asset":"btcusdt"' if number % 2 else trade(f"still-{number}") + b"\n{")
        headers = {"Content-Length": "1000"}
        waiting.append(asyncio.create_task(ingest.stream(parts, TYPES[number % 3], headers)))
    await asyncio.sleep(0)
    answer = await asyncio.to_thread(ingest.send, trade("beside-those-that-wait"))
    assert answer.status == 200
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def still(part: bytes) -> AsyncIterator[bytes]:
    """Yield a part, and nothing more."""
    yield part
    await asyncio.Event().wait()
