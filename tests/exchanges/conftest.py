"""Fixtures of many tests of exchanges: a session, metrics, a mock exchange, and each local venue in turn."""

from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import CollectorRegistry

from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.venues.mock import Mock
from aggregator.observability.metrics import Metrics
from tests.exchanges.polled import Scene
from tests.exchanges.venues.base import Venue, running
from tests.exchanges.venues.servers import SERVERS
from tests.parts.examples import NOW
from tests.parts.exchanges import Market


@pytest.fixture
async def http() -> AsyncIterator[Session]:
    """Open a session."""
    async with session(5) as opened:  # a sound venue answers in time, however busy the machine is
        yield opened


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics of its own for each test."""
    return Metrics(CollectorRegistry())


@pytest.fixture
def exchange(market: Market, http: Session, metrics: Metrics) -> HttpExchange:
    """Return the client of the first mock exchange."""
    return HttpExchange("exchange1", market.exchanges["exchange1"].url, Mock(), http, metrics, 4)


@pytest.fixture(params=SERVERS)
async def scene(request: pytest.FixtureRequest, http: Session) -> AsyncIterator[Scene]:
    """Return each local venue in turn with its client, the listing read."""
    name = str(request.param)
    async with running(SERVERS[name](now=lambda: NOW)) as venue:
        scene = Scene(name, venue, http)
        assert await scene.exchange.read_listing() is None
        scene.asked()
        yield scene


@pytest.fixture
def only(http: Session) -> Callable[[Venue, str], Scene]:
    """Return a function that makes the scene of one venue."""
    return lambda venue, name: Scene(name, venue, http)
