"""The stores of trades, opened for one test each, with a file or table of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.parts.clock import Clock
from tests.parts.dynamodb import DynamoServer
from tests.parts.postgres import PostgresServer
from tests.stores.trades.parts import Opened, by_url, in_dynamodb, in_postgres, opened


@pytest.fixture
async def memory(tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open memory://."""
    async with opened(by_url("memory://", tmp_path, clock), runs=True) as store:
        yield store


@pytest.fixture
async def sqlite(tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open sqlite://."""
    async with opened(by_url(f"sqlite:///{tmp_path}/trades.db", tmp_path, clock), runs=True) as store:
        yield store


@pytest.fixture
async def waiting(dynamodb_running: DynamoServer, tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open dynamodb:// with an outbox that sends nothing."""
    async with opened(in_dynamodb(dynamodb_running.endpoint, tmp_path, clock)) as store:
        yield store


@pytest.fixture
async def dynamodb(dynamodb_running: DynamoServer, tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open dynamodb:// as the service does: the outbox sends trades to the table."""
    async with opened(in_dynamodb(dynamodb_running.endpoint, tmp_path, clock), runs=True) as store:
        yield store


@pytest.fixture
async def drained(dynamodb_running: DynamoServer, tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open dynamodb:// so that each read finds everything in the table."""
    open_store = in_dynamodb(dynamodb_running.endpoint, tmp_path, clock)
    async with opened(open_store, runs=True, drains=True) as store:
        yield store


@pytest.fixture
async def postgresql(postgres_running: PostgresServer, clock: Clock) -> AsyncIterator[Opened]:
    """Open postgresql:// with a new database."""
    async with opened(in_postgres(postgres_running, clock), runs=True) as store:
        yield store


REAL = pytest.mark.real
STORES = [
    "memory",
    "sqlite",
    pytest.param("postgresql", marks=REAL),
    pytest.param("waiting", marks=REAL),
    pytest.param("dynamodb", marks=REAL),
    pytest.param("drained", marks=REAL),
]


@pytest.fixture(params=STORES)
def trades(request: pytest.FixtureRequest) -> Opened:
    """Return each store of trades in turn; DynamoDB with an outbox that sends, and with one that does not."""
    found: Opened = request.getfixturevalue(request.param)
    return found
