"""Fixtures of the chaos scenarios: their own Redis, exchanges and table, and a function that prints figures."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.ingest_client import LINES, Ingest, trades
from tests.chaos.parts import FULL, DurableDynamo, DynamoOnDisk, HistoryTestbed, ProxiedDynamo, Subscriber
from tests.chaos.testbed import PriceTestbed
from tests.parts import dynamodb, exchanges, figures, redis_server, sqs
from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.exchanges import Market
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.sqs import Queues

MEMORY = Path("/dev/shm")  # noqa: S108  # DynamoDB Local commits each item alone, and a disk takes 500 commits/s


@pytest.fixture(scope="module")
def redis_apart() -> Iterator[RedisServer]:
    """Run a Redis on which only these scenarios publish."""
    with redis_server.alone() as server:
        yield server


@pytest.fixture(scope="module")
def queues() -> Iterator[Queues]:
    """Run moto's SQS behind a proxy that records and fails, with credentials for it."""
    with pytest.MonkeyPatch.context() as environment, sqs.running() as found:
        environment.setenv("AWS_ACCESS_KEY_ID", "local")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "local")
        yield found


@pytest.fixture(scope="module")
def durable_dynamodb(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DurableDynamo]:
    """Share one DynamoDB that can be killed; each scenario has its own table.

    With CHAOS=full it is one of its own, on disk; without, a proxy in front of the one of all tests.
    """
    if dynamodb.jar() is None:
        pytest.skip("needs DynamoDB Local: moto forgets its tables when killed; see the header")
    if not FULL:
        running: DynamoServer = request.getfixturevalue("dynamodb_running")
        proxied = ProxiedDynamo(running.endpoint)
        yield proxied
        proxied.stop()
        return
    around = MEMORY if MEMORY.is_dir() else tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(dir=around) as folder:
        server = DynamoOnDisk(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def history_testbed(
    tmp_path: Path, market: Market, redis_apart: RedisServer, durable_dynamodb: DurableDynamo
) -> Iterator[HistoryTestbed]:
    """Return the parts around the service, with a new table and a subscriber that records every publication."""
    subscriber = Subscriber(redis_apart.url)
    yield HistoryTestbed(tmp_path, market, redis_apart, durable_dynamodb, f"prices-{uuid.uuid4()}", subscriber)
    subscriber.close()


@pytest.fixture(scope="module")
def shared_testbed(durable_dynamodb: DurableDynamo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PriceTestbed]:
    """Run the service once for all price scenarios, with a Redis and exchanges that may be killed."""
    if redis_server.binary() is None:
        pytest.skip("no redis-server here; see the header")
    with exchanges.market() as market:
        testbed = PriceTestbed(tmp_path_factory.mktemp("testbed"), market, RedisServer(), durable_dynamodb)
        yield testbed
        testbed.close()


@pytest.fixture
def testbed(shared_testbed: PriceTestbed, report: Callable[[str], None]) -> Iterator[PriceTestbed]:
    """Return the shared testbed, and repair what a failed scenario has left broken."""
    shared_testbed.report = report
    yield shared_testbed
    shared_testbed.repair()


@pytest.fixture
def proxy(durable_dynamodb: DurableDynamo) -> Iterator[DynamoProxy]:
    """Run the fault proxy in front of DynamoDB."""
    running = DynamoProxy(durable_dynamodb.endpoint)
    yield running
    running.stop()


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return a function that prints a line of figures."""
    return lambda line: figures.print_line(request, capsys, line)


MOST_GROWTH = 120 << 20  # bytes of memory, for all attacks on /ingest of one module together


@pytest.fixture(scope="module")
def ingest(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """Run a service with three assets; at the end it is alive, its memory is bounded, and its log has no traceback."""
    folder = tmp_path_factory.mktemp("ingest")
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\nsolusdt\n")
    service = Service(
        folder,
        exchanges=shared_market.setting,
        symbols_file=folder / "symbols.csv",
        trades_url=f"sqlite:///{folder}/trades.db",
        trades_outbox_path=folder / "trades-outbox.db",
    ).started()
    running = Ingest(service)
    running.send(trades(range(1000), "solusdt"), LINES)  # the memory of a service at work
    before = running.memory
    yield running
    assert service.get("/health").status == 200
    assert running.memory - before < MOST_GROWTH
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output, service.process.output[-3000:]
