"""Pushed prices: from an exchange's frame to a reader of /stream, and the cost of ten thousand frames a second."""

import asyncio
import json
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aggregator.models import Price
from aggregator.stores.sqlite import SqliteHistory
from tests.bench.report import Figure
from tests.bench.scene import Scene, metrics_of, scene, wrk
from tests.bench.stream_subscribers import Subscribers
from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market, MockExchange
from tests.parts.process import ROOT, wait_for
from tests.parts.service import Service

SECONDS = 20.0
DEBOUNCE_MS = 50
_SETTLE = 3.0  # seconds of pushing before a measurement
_MEMORY = "process_resident_memory_bytes"


class Load:
    """The service on SQLite and its own memory, with exchanges that push each asset once in `every_ms`."""

    def __init__(self, parts: Scene, assets: int, venues: int, every_ms: int, *, pushed: bool = True) -> None:
        self._folder = parts.folder / str(uuid.uuid4())
        self._folder.mkdir()
        symbols = self._folder / "symbols.csv"
        lines = (ROOT / "symbols.csv").read_text().splitlines(keepends=True)[: assets + 1]
        symbols.write_text("".join(lines))
        self.assets = [line.partition(",")[0] for line in lines[1:]]
        exchanges = []
        for number in range(1, venues + 1):
            exchanges.append(MockExchange(f"exchange{number}", push_ms=every_ms))
            parts.closing(exchanges[-1].stop)
        self.market = Market(exchanges)
        self.service = Service(
            self._folder,
            symbols_file=symbols,
            exchanges=self.market.pushed_setting if pushed else self.market.setting,
            hot_size=assets,
            medium_size=0,
        )
        parts.closing(self.service.process.stop)
        self.service.started()
        self.service.process.wait_for_line("tier_filled.*tier=hot", 120)
        if pushed:
            wait_for(self._live, 60, "live feeds")
        time.sleep(_SETTLE)

    def _live(self) -> bool:
        states = [
            value for name, value in metrics_of(self.service).items() if name.startswith("price_exchange_push_state")
        ]
        return len(states) == len(self.market.exchanges) and all(value == 1 for value in states)

    def frames(self) -> float:
        """Return how many tickers the feeds have brought."""
        return _sum(metrics_of(self.service), "price_exchange_push_messages_total{", 'kind="ticker"')

    def history(self, begin: float, end: float) -> list[list[Price]]:
        """Return the prices of each asset in that time, the oldest first. Only after the service has stopped."""

        async def read() -> list[list[Price]]:
            history = SqliteHistory(self._folder / "prices.db")
            await history.open()
            try:
                return [await history.between(one, begin, end, 100_000, newest_first=False) for one in self.assets]
            finally:
                await history.close()

        return asyncio.run(read())


class Measured:
    """One measurement under the load: delays in milliseconds, frames and prices a second, cores."""

    def __init__(self, load: Load, to: Path, seconds: float) -> None:
        subscribers = Subscribers(load.service.url, 1, 0, to).reading()
        before, frames, begin = metrics_of(load.service), load.frames(), time.time()
        time.sleep(seconds)
        after, self.frames, end = metrics_of(load.service), load.frames() - frames, time.time()
        (seen,) = subscribers.stop()
        self.seconds = end - begin
        self.cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
        self.memory = after[_MEMORY]
        self.prices = _sum(after, "price_refresh_total{", "push") - _sum(before, "price_refresh_total{", "push")
        load.service.process.stop()
        received = {(one.asset, one.timestamp): one.received for one in seen}
        self.delays = sorted(_delays(load.history(begin + 1, end - 1), received))

    def percentile(self, share: float) -> float:
        """Return the delay that this share of the frames does not exceed."""
        return self.delays[min(len(self.delays) - 1, int(share * len(self.delays)))]


def run(seconds: float = SECONDS, dynamodb: DynamoServer | None = None) -> list[Figure]:
    """Measure three loads; see the table of docs/performance.md."""
    with scene(dynamodb) as parts:
        few = Measured(Load(parts, 20, 3, 50), parts.folder / "few", seconds)
    with scene(dynamodb) as parts:
        many = Measured(Load(parts, 200, 5, 100), parts.folder / "many", seconds)
    with scene(dynamodb) as parts:
        thousand = metrics_of(Load(parts, 1000, 5, 1000).service)[_MEMORY]
    return [
        Figure("20 assets x 3 exchanges x 20/s: frames", few.frames / few.seconds, "frames/s"),
        Figure("  prices", few.prices / few.seconds, "prices/s"),
        Figure("  from the frame to the reader, p50", few.percentile(0.5), "ms", f"<= {DEBOUNCE_MS + 5}"),
        Figure("  p99", few.percentile(0.99), "ms", f"<= {DEBOUNCE_MS + 30}"),
        Figure("200 assets x 5 exchanges x 10/s: frames", many.frames / many.seconds, "frames/s", ">= 9900"),
        Figure("  prices", many.prices / many.seconds, "prices/s"),
        Figure("  from the frame to the reader, p50", many.percentile(0.5), "ms"),
        Figure("  p99", many.percentile(0.99), "ms"),
        Figure("  frames later than 250 ms", sum(delay > 250 for delay in many.delays), "", "<= 0"),
        Figure("  CPU, whole process", many.cpu / many.seconds, "cores", "<= 0.8"),
        Figure("  CPU per frame", 1e6 * many.cpu / many.frames, "us"),
        Figure("memory at 1000 assets with five feeds", thousand / 2**20, "MiB", "<= 200"),
        Figure("reads beside 10,000 frames/s, of those without", _reads(dynamodb, seconds), "x", ">= 0.85"),
    ]


def _reads(dynamodb: DynamoServer | None, seconds: float) -> float:
    """Return the median ratio of reads a second beside the frames to those of a service that is not subscribed.

    The exchanges push in both cases, in the second one to readers that throw everything away.
    """
    ratios = []
    for _ in range(3):
        with scene(dynamodb) as parts:
            load = Load(parts, 200, 5, 100)
            beside = wrk(f"{load.service.url}/prices/btcusdt", seconds / 4).rate
        with scene(dynamodb) as parts:
            load = Load(parts, 200, 5, 100, pushed=False)
            for exchange in load.market.exchanges.values():
                parts.closing(Idle(exchange.url, load.assets).stop)
            ratios.append(beside / wrk(f"{load.service.url}/prices/btcusdt", seconds / 4).rate)
    return statistics.median(ratios)


class Idle:
    """A subscriber that reads the frames of a mock exchange and does not look at them."""

    def __init__(self, url: str, assets: Sequence[str]) -> None:
        where = urlsplit(url)
        self._wire = socket.create_connection((where.hostname, where.port))
        self._wire.sendall(
            b"GET /mock/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " in self._wire.recv(4096)
        body = json.dumps({"op": "subscribe", "symbols": assets}).encode()
        self._wire.sendall(b"\x81\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body)  # masked by zeros
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while self._wire.recv(1 << 20):
            pass

    def stop(self) -> None:
        """Close the connection."""
        self._wire.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._wire.close()


def _delays(history: Sequence[Sequence[Price]], received: Mapping[tuple[str, float], float]) -> list[float]:
    """Return for each frame that is in a price the milliseconds from the exchange's clock to the reader."""
    delays = []
    for prices in history:
        known: dict[str, float] = {}
        for price in prices:
            came = received.get((price.asset, price.timestamp))
            for source in price.sources:
                if came is not None and known and source.timestamp != known.get(source.exchange):
                    delays.append(1000 * (came - source.timestamp))
                known[source.exchange] = source.timestamp
    return delays


def _sum(metrics: Mapping[str, float], start: str, part: str) -> float:
    return sum(value for name, value in metrics.items() if name.startswith(start) and part in name)
