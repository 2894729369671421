"""Settings under which `aggregator doctor` finds all well, and the servers behind them, for tests to break."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.table import DynamoTable
from tests.parts import redis_server
from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.process import ROOT
from tests.parts.redis_server import RedisServer


@pytest.fixture
def healthy(tmp_path: Path, market: Market) -> dict[str, object]:
    """Return settings without a fault: memory cache, SQLite, three mock exchanges."""
    history = f"sqlite:///{tmp_path}/prices.db"
    own = {"port": 0, "symbols_file": ROOT / "symbols.csv", "history_url": history, "exchanges": market.setting}
    own |= {f"{name}_url": f"sqlite:///{tmp_path}/{name}.db" for name in ("trades", "events")}
    return own | {"exchange_timeout": 10}  # a sound exchange is no finding, however busy the machine is


@pytest.fixture
async def table(dynamodb_running: DynamoServer) -> AsyncIterator[str]:
    """Create a table as the service does; return its name."""
    name = f"doctor-{uuid.uuid4()}"
    made = DynamoTable(name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await made.open()
    yield name
    await made.close()


@pytest.fixture
def on_dynamodb(
    healthy: dict[str, object], table: str, dynamodb_running: DynamoServer, tmp_path: Path
) -> dict[str, object]:
    """Return settings without a fault, with the history in that table."""
    outbox = tmp_path / "outbox.db"
    return healthy | {"history_url": dynamodb_running.url(table), "outbox_path": outbox, "outbox_max_bytes": 1 << 20}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """Run a Redis that tests may stop, and whose rights they may change."""
    with redis_server.alone() as server:
        yield server
