"""Bars over HTTP equal a naive computation over the stored prices, from SQLite, DynamoDB and PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.udf.routes import UdfRoutes
from aggregator.api.udf.schema import SECONDS
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED
from aggregator.ports import History
from aggregator.prices.bars import BarSource, PointSource, bars_of
from aggregator.stores.outbox import Outbox
from aggregator.stores.postgres.table import PostgresTable
from aggregator.stores.sqlite import SqliteHistory
from aggregator.stores.traced import TracedHistory
from tests.parts.asgi import get
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer
from tests.parts.sending_outbox import sending_outbox

DAY = 86_400


class Parts:
    """The routes over one history, with a clock, and the prices that were written."""

    def __init__(self, history: History) -> None:
        self.now = NOW
        self.history = history
        self.prices: list[Price] = []
        routes = UdfRoutes(CATALOG, history, lambda: self.now, 60).routes()
        self.app: ASGIApp = build(routes, Metrics(CollectorRegistry()))

    async def write(self, prices: list[Price]) -> None:
        """Write prices."""
        await self.history.write(prices)
        self.prices = sorted([*self.prices, *prices], key=lambda one: one.timestamp)

    async def bars(self, **asked: object) -> list[tuple[float, ...]]:
        """Return time, open, high, low and close of each bar."""
        query = "&".join(f"{name.rstrip('_')}={value}" for name, value in asked.items())
        answer = await get(self.app, f"/udf/history?symbol=ethusdt&{query}")
        assert answer.status == 200, answer.text
        body: dict[str, Any] = answer.json
        if body["s"] == "no_data":
            return []
        columns = [[float(number) for number in body[name]] for name in "tohlc"]
        return list(zip(*columns, strict=True))

    def expected(self, seconds: int, start: float, end: float) -> list[tuple[float, ...]]:
        """Return the same of the bars that begin from `start` to `end`, computed from all prices."""
        points = ((one.timestamp, float(one.price)) for one in self.prices)
        return [tuple(bar[:5]) for bar in bars_of(points, seconds) if start <= bar[0] < end]


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Parts]:
    """Open the routes over SQLite."""
    history = SqliteHistory(tmp_path / "prices.db")
    await history.open()
    yield Parts(history)
    await history.close()


@pytest.fixture
async def dynamodb(dynamodb_running: DynamoServer, tmp_path: Path) -> AsyncIterator[Parts]:
    """Open the routes over the outbox and DynamoDB, however slow, while the outbox sends prices to the table."""
    async with sending_outbox(dynamodb_running, tmp_path / "outbox.db") as history:
        yield Parts(history)


@pytest.fixture
async def postgresql(postgres_running: PostgresServer, tmp_path: Path) -> AsyncIterator[Parts]:
    """Open the routes over the outbox and PostgreSQL, while the outbox sends prices to the table."""
    address = postgres_running.address(postgres_running.new_database())
    table = PostgresTable(address, PASSWORD, read_seconds=PATIENT_SECONDS, write_seconds=PATIENT_SECONDS)
    await table.open()
    history = Outbox(tmp_path / "outbox.db", 1 << 30, table, Metrics(CollectorRegistry()))
    await history.open()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(history.run())
        yield Parts(history)
        running.cancel()
    await history.close()


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("dynamodb", marks=pytest.mark.real),
        pytest.param("postgresql", marks=pytest.mark.real),
    ]
)
def parts(request: pytest.FixtureRequest) -> Parts:
    """Return the routes over each store in turn."""
    found: Parts = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_bars_equal_a_naive_computation(parts: Parts, seed: int) -> None:
    """For random prices with gaps, resolutions, ranges and counts, while time passes and prices go on."""
    chance = random.Random(seed)
    for _ in range(8):
        until = parts.now - chance.choice([0, 300, 3 * DAY])
        moments = {round(until - chance.random() * 250, 3) for _ in range(chance.randrange(40))}
        known = {one.timestamp for one in parts.prices}
        fresh = [price("ethusdt", at, f"{chance.randrange(1, 10**6) / 100}") for at in sorted(moments - known)]
        if until > parts.now - 600:  # others would be later than a table promises to show at once
            await parts.write(fresh)
        parts.now += chance.choice([1, 40, 900, 20_000])
        for _ in range(4):
            resolution = chance.choice(sorted(SECONDS))
            seconds = SECONDS[resolution]
            end = int(parts.now - chance.choice([0, 100, 5000]))
            start = end - chance.choice([seconds, 10 * seconds, 9000 * seconds])
            found = await parts.bars(resolution=resolution, from_=start, to=end)
            assert found == parts.expected(seconds, max(0, start), end)
            count = chance.choice([1, 3, 50, 5000])
            found = await parts.bars(resolution=resolution, countback=count, to=end)
            assert found == parts.expected(seconds, 0, end)[-count:]


async def test_traces_leave_the_bars_of_a_store_in_use(sqlite: Parts) -> None:
    """A traced history has bars if the history behind it has."""
    assert isinstance(TracedHistory(sqlite.history, UNTRACED), BarSource)


@pytest.mark.real
async def test_traces_add_no_bars(dynamodb: Parts) -> None:
    """The outbox has none, traced or not; it reads times and prices alone, as its table does."""
    traced = TracedHistory(dynamodb.history, UNTRACED)
    assert not isinstance(traced, BarSource)
    assert isinstance(traced, PointSource)
