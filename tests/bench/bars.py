"""How fast /udf/history gives 5,000 bars, from SQLite and from DynamoDB Local in one run: `./test.sh bench bars`.

Both histories have the same prices, one every five seconds for 5,000 minutes, and the service adds new ones meanwhile.
The first request of all is made with a history that no chart has read before.
"""

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from aggregator.models import Price, Source, Tier
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb import make_table, parse_dynamodb_url
from aggregator.stores.sqlite import SqliteHistory
from tests.bench.report import Figure
from tests.bench.scene import scene
from tests.parts.dynamodb import DynamoServer
from tests.parts.service import Service

BARS = 5000
EVERY = 5  # seconds between two prices
REQUESTS = 200
_BATCH = 500
_PUTS = 4  # at once


def run(bars: int = BARS, requests: int = REQUESTS, dynamodb: DynamoServer | None = None) -> list[Figure]:
    """Measure both, alternating."""
    with scene(dynamodb) as parts:
        market = parts.market()
        symbols = parts.folder / "one.csv"
        symbols.write_text("symbol\nbtcusdt\n")
        table = parts.dynamodb.url(f"bench-{uuid.uuid4()}")
        asyncio.run(_fill(parts.folder / "bars.db", table, bars))
        readers = []
        for name, url in (("SQLite", f"sqlite:///{parts.folder}/bars.db"), ("DynamoDB Local", table)):
            folder = parts.folder / name.replace(" ", "")
            folder.mkdir()
            settings = {"exchanges": market.setting, "symbols_file": symbols, "history_url": url}
            readers.append(_Reader(name, lambda folder=folder, settings=settings: Service(folder, **settings), bars))  # type: ignore[misc]  # a default argument has no type
        for reader in readers:
            parts.closing(reader.stop)
            reader.restart()
        for number in range(requests):
            for reader in readers if number % 2 else reversed(readers):
                reader.read("1")
                reader.read("60")
        for reader in readers:
            reader.restart()
    return [figure for reader in readers for figure in reader.figures()]


class _Reader:
    """Reads bars from a service, and keeps the seconds of each request by resolution."""

    def __init__(self, name: str, create: Callable[[], Service], bars: int) -> None:
        self._name = name
        self._create = create
        self._bars = bars
        self._service: Service | None = None
        self._firsts: list[float] = []
        self._took: dict[str, list[float]] = {"1": [], "60": []}

    def stop(self) -> None:
        """Stop the service."""
        if self._service is not None:
            self._service.process.stop()

    def restart(self) -> None:
        """Start the service anew, and ask for the bars of a minute."""
        self.stop()
        self._service = self._create().started()
        self._firsts.append(self._seconds("1"))

    def read(self, resolution: str) -> None:
        """Ask for the bars."""
        self._took[resolution].append(self._seconds(resolution))

    def _seconds(self, resolution: str) -> float:
        """Return the seconds until the bars are there."""
        assert self._service is not None
        path = f"/udf/history?symbol=btcusdt&resolution={resolution}&countback={self._bars}"
        started, status, body = time.perf_counter(), 503, b""
        while status == 503:  # a history that was never read may take longer than one request may
            status, body = _get(self._service.url, path)
        took = time.perf_counter() - started
        assert body.startswith(b'{"s":"ok"'), body[:200]
        return took

    def figures(self) -> Iterator[Figure]:
        """Return the figures of this service."""
        first, after_restart = self._firsts
        yield Figure(
            f"{self._name}: {self._bars} bars of a minute, p50", 1000 * statistics.median(self._took["1"]), "ms"
        )
        yield Figure("  p99", 1000 * _p99(self._took["1"]), "ms", "<= 100")
        yield Figure("  p99 of the bars of an hour of the same prices", 1000 * _p99(self._took["60"]), "ms", "<= 100")
        yield Figure("  first request of all for this asset", 1000 * first, "ms")
        yield Figure("  first request after a restart", 1000 * after_restart, "ms")


def _get(url: str, path: str) -> tuple[int, bytes]:
    """Return status and body, on a connection of its own."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))]


async def _fill(path: Path, url: str, bars: int) -> None:
    """Write the same prices to both histories, past the outbox."""
    prices = _prices(bars * 60 // EVERY)
    history = SqliteHistory(path)
    await history.open()
    for first in range(0, len(prices), _BATCH):
        await history.write(prices[first : first + _BATCH])
    await history.close()
    table = make_table(parse_dynamodb_url(url), Metrics(CollectorRegistry()), None)
    await table.open()
    waiting = [prices[first : first + table.batch] for first in range(0, len(prices), table.batch)]

    async def put() -> None:
        while waiting:
            assert await table.put(waiting.pop()) == []

    await asyncio.gather(*(put() for _ in range(_PUTS)))
    await table.close()


def _prices(count: int) -> list[Price]:
    """Return prices of three sources each, as the service makes them, up to now."""
    newest = time.time() - EVERY
    found = []
    for number in range(count):
        at = round(newest - (count - number) * EVERY, 3)
        amount = Decimal("77896.49245") + number % 1000
        source = Source("exchange1", amount, Decimal("22183.5492"), at, Decimal("0.333333"))
        found.append(Price("btcusdt", amount, at, Tier.HOT, Decimal("0.0002"), at, (source, source, source)))
    return found
