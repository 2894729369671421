"""The stores of events and positions, opened for one test each, with a file or table of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.parts.clock import Clock
from tests.parts.dynamodb import DynamoServer
from tests.parts.postgres import PostgresServer
from tests.stores.events.parts import Opened, new_table, opened


@pytest.fixture
async def memory(clock: Clock) -> AsyncIterator[Opened]:
    """Open memory://."""
    async with opened("memory://", clock) as stores:
        yield stores


@pytest.fixture
async def sqlite(tmp_path: Path, clock: Clock) -> AsyncIterator[Opened]:
    """Open sqlite://."""
    async with opened(f"sqlite:///{tmp_path}/events.db", clock) as stores:
        yield stores


@pytest.fixture
async def dynamodb(dynamodb_running: DynamoServer, clock: Clock) -> AsyncIterator[Opened]:
    """Open dynamodb://."""
    async with opened(dynamodb_running.url(new_table()), clock) as stores:
        yield stores


@pytest.fixture
async def postgresql(postgres_running: PostgresServer, clock: Clock) -> AsyncIterator[Opened]:
    """Open postgresql:// with a new database."""
    async with opened(postgres_running.url(postgres_running.new_database()), clock) as stores:
        yield stores


REAL = pytest.mark.real


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("dynamodb", marks=REAL), pytest.param("postgresql", marks=REAL)]
)
def stores(request: pytest.FixtureRequest) -> Opened:
    """Return the stores of each kind in turn."""
    found: Opened = request.getfixturevalue(request.param)
    return found
