"""The service as a process: with memory and SQLite, and with Redis and DynamoDB."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import write_symbols


@pytest.fixture(scope="module", params=["memory+sqlite", "redis+dynamodb"])
def service(
    request: pytest.FixtureRequest, shared_market: Market, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run the service with all thousand assets, once per pair of stores; the exchanges start without faults."""
    settings: dict[str, object] = {"refresh_cooldown": 0}
    if request.param == "redis+dynamodb":
        redis: RedisServer = request.getfixturevalue("redis_running")
        dynamodb: DynamoServer = request.getfixturevalue("dynamodb_running")
        settings |= {"cache_url": redis.url, "history_url": dynamodb.url(f"prices-{uuid.uuid4()}")}
    shared_market.sound()
    running = Service(tmp_path_factory.mktemp("service"), exchanges=shared_market.setting, **settings)
    yield running.filled()
    assert running.process.stop() == 0, running.process.output


@pytest.fixture(scope="module")
def symbols_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a symbols file of seven assets; each tier is one job."""
    return write_symbols(tmp_path_factory.mktemp("symbols"))
