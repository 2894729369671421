"""POST /ingest in this process: route, event log, processor and dead letters, over a store that a test can hold up."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.types import ASGIApp, Message

from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Policy
from aggregator.api.app import build
from aggregator.api.trades.ingest import IngestRoute
from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import assign
from aggregator.stores.dead_letter_file import DeadLetterFile, FailedLetter
from aggregator.stores.trades.dead_letters import TradeDeadLetters
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.event_log.memory import MemoryLog
from aggregator.trades.ingest import Parser
from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from aggregator.trades.processor import Processor
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.examples import CADENCE, NOW
from tests.parts.service import Answer

JSON, LINES, PROTOBUF = "application/json", "application/x-ndjson", "application/x-protobuf"
CATALOG = assign([(symbol, "", "") for symbol in ("btcusdt", "ethusdt")], 1, 0, CADENCE)
PATIENT = 60.0  # seconds; a limit for a busy machine, no promise
KEYS = Keys([SecretStr("all"), SecretStr("other")], [SecretStr("reads")])


class GatedStore(MemoryTrades):
    """A store in memory that stores nothing while its gate is closed."""

    def __init__(self) -> None:
        super().__init__(1e12, lambda: NOW)
        self.gate = asyncio.Event()
        self.gate.set()

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Add once the gate is open."""
        await self.gate.wait()
        return await super().add(trades)

    async def ids(self) -> list[str]:
        """Return the ids of all trades of btcusdt, in order."""
        return [one.id for one in await self.trades("btcusdt", 0, 2 * NOW, 1_000_000, newest_first=False)]


class IngestApi:
    """The application with its parts; see `ingesting`."""

    def __init__(self, folder: Path, policy: Policy, most: int, rate: float | None, durable_seconds: float) -> None:
        self._closed = False
        self.path = folder / "dead-letters.db"
        self.metrics = Metrics(CollectorRegistry())
        self.store = GatedStore()
        self.log = MemoryLog(most)
        self.dead_letters = TradeDeadLetters(self.path, self.metrics.trades, lambda: NOW)
        bus = Bus([TRADES, FEATURES])
        self.processor = Processor(self.log, self.store, [], bus, self.metrics.trades, 5, 1000, lambda: NOW)
        metrics = self.metrics.trades
        route = IngestRoute(
            Parser(CATALOG.find), self.log, self.dead_letters, metrics, rate, lambda: NOW, durable_seconds, policy.keys
        )
        self.app: ASGIApp = build(route.routes(), self.metrics, policy=policy)

    async def post(self, body: bytes | Iterable[bytes], content_type: str = JSON, **headers: str) -> Answer:
        """POST a body, or one that comes in these parts."""
        parts = [body] if isinstance(body, bytes) else body
        return await post(self.app, _each(parts), content_type, headers)

    async def letters(self) -> list[FailedLetter]:
        """Return the dead letters; to be called once, at the end."""
        await self.close()
        file = DeadLetterFile(self.path, 1000)
        await file.open()
        found = list(await file.letters(0, 1000))
        await file.close()
        return found

    async def close(self) -> None:
        """Write the dead letters and close their file, unless that is done."""
        if not self._closed:
            self._closed = True
            await self.dead_letters.close()


@asynccontextmanager
async def ingesting(
    folder: Path,
    policy: Policy | None = None,
    most: int = 100_000,
    rate: float | None = None,
    durable_seconds: float = PATIENT,
) -> AsyncIterator[IngestApi]:
    """Run the parts for the block."""
    api = IngestApi(folder, policy or Policy(), most, rate, durable_seconds)
    await api.dead_letters.open()
    task = asyncio.create_task(api.processor.run())
    try:
        yield api
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()


async def _each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def post(app: ASGIApp, parts: AsyncIterator[bytes], content_type: str, headers: Mapping[str, str]) -> Answer:
    """POST a body to /ingest as it comes; when `parts` raises ConnectionResetError, the client is gone."""
    started: list[Message] = []
    body = b""

    async def receive() -> Message:
        try:
            return {"type": "http.request", "body": await anext(parts), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
        except ConnectionResetError:
            return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            body += message.get("body", b"")

    sent = {"content-type": content_type, "host": "ours.example"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/ingest",
        "raw_path": b"/ingest",
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    await app(scope, receive, send)
    names = {name.decode(): value.decode() for name, value in started[0]["headers"]}
    return Answer(started[0]["status"], names, body)


def record(number: int | str, **fields: object) -> dict[str, Any]:
    """Return a good trade of btcusdt as it is sent; trades of different numbers have the same time."""
    return {"asset": "btcusdt", "price": "79450.12", "volume": 0.25, "timestamp": NOW, "id": str(number)} | fields


def line(number: int | str, **fields: object) -> bytes:
    """Return a good trade as a line with its end."""
    return json.dumps(record(number, **fields), ensure_ascii=False).encode() + b"\n"


def lines(first: int, until: int) -> bytes:
    """Return good trades as lines."""
    return b"".join(line(number) for number in range(first, until))


def array(count: int) -> bytes:
    """Return an array of good trades."""
    return json.dumps([record(number) for number in range(count)]).encode()


def updates(count: int) -> bytes:
    """Return a batch of updates in protobuf."""
    some = [MarketUpdate(ticker="btcusdt", price=100, volume=one, timestamp_ns=int(NOW * 1e9)) for one in range(count)]
    return bytes(MarketUpdates(updates=some).SerializeToString())


def of_count(count: int, content_type: str) -> bytes:
    """Return a body with so many different good trades."""
    return {JSON: array, LINES: lambda most: lines(0, most), PROTOBUF: updates}[content_type](count)


def crashes(api: IngestApi) -> float:
    """Return how many requests were answered 500."""
    labels = {"endpoint": "/ingest", "status": "500"}
    return api.metrics.registry.get_sample_value("price_api_requests_total", labels) or 0.0


def counts(answer: Answer) -> tuple[int, int, int]:
    """Return how many records were accepted, were there before, and were rejected."""
    found = answer.json
    return found["accepted"], found["duplicates"], found["rejected_count"]
