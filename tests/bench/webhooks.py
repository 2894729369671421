"""Events through the outbox to a webhook whose receiver answers in 20 ms.

Receiver and outbox are in one process; the CPU time is that of both.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.outlets.outbox.outbox import OutletOutbox
from aggregator.outlets.ports import OutletEvent
from tests.bench.outlet_scene import closed, opened
from tests.bench.report import Figure

RATE, SECONDS = 500, 10
ASSETS = 50
_ANSWER_SECONDS = 0.02
_TICK = 0.02  # seconds between two batches that are handed over
_PATIENCE = 60.0


class Receiver:
    """Answers in 20 ms; keeps the delay of each event, in seconds since its time."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.keys: set[str] = set()

    async def hook(self, request: web.Request) -> web.Response:
        """Take a delivery."""
        events, now = msgspec.json.decode(await request.read()), time.time()
        await asyncio.sleep(_ANSWER_SECONDS)
        self.delays += [now - one["timestamp"] for one in events]
        self.keys.update(one["key"] for one in events)
        return web.Response(status=204)


def run(rate: int = RATE, seconds: float = SECONDS) -> list[Figure]:
    """Send `rate` events a second for so many seconds."""
    return asyncio.run(_run(rate, seconds))


async def _run(rate: int, seconds: float) -> list[Figure]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hook", receiver.hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        outbox, sending = await opened(Path(folder) / "outlets.db", [url], Metrics(CollectorRegistry()))
        started, cpu = time.perf_counter(), time.process_time()
        count = await _hand_over(outbox, rate, seconds)
        async with asyncio.timeout(_PATIENCE):
            while len(receiver.delays) < count:
                await asyncio.sleep(_TICK)
        took, used = time.perf_counter() - started, time.process_time() - cpu
        await closed(outbox, sending)
    await runner.cleanup()
    return [
        Figure("delivered", count / took, "events/s", bound=f">= {0.95 * rate:g}"),
        Figure("events that arrived twice", len(receiver.delays) - len(receiver.keys), bound="<= 0"),
        Figure("from the outbox to the receiver, median", 1e3 * median(receiver.delays), "ms"),
        Figure("the same, p99", 1e3 * quantiles(receiver.delays, n=100)[-1], "ms", bound="<= 200"),
        Figure("CPU of an event, outbox and receiver", 1e6 * used / count, "us"),
    ]


async def _hand_over(outbox: OutletOutbox, rate: int, seconds: float) -> int:
    """Hand events over at a steady pace; return how many."""
    loop, count, body = asyncio.get_running_loop(), 0, b'{"asset":"asset1","price":70000.10,"sources":3}'
    started = loop.time()
    while (passed := loop.time() - started) < seconds:
        due = int(passed * rate) - count
        now = time.time()
        await outbox.hand_over(
            [
                OutletEvent("prices", f"asset{number % ASSETS}", f"key {number}", now, body)
                for number in range(count, count + due)
            ]
        )
        count += due
        await asyncio.sleep(_TICK)
    return count
