"""A history that hangs or fails: a response in bounded time, and never an incomplete one that looks complete."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from aggregator.api.app import build
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.prices.history import HistoryRoutes
from aggregator.api.routing.route import Route
from aggregator.api.server.server import STOP_SECONDS, Server, address_of, listening
from aggregator.api.server.slow_readers import Limits
from aggregator.api.udf.routes import UdfRoutes
from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import assign
from tests.parts.asgi import get
from tests.parts.examples import CADENCE, NOW, price
from tests.parts.limits import allowed

CATALOG = assign([("a0", "", "")], 1, 0, CADENCE)
CANDLES = f"/prices/a0/candles?start={NOW!r}&end={NOW + 9999!r}&interval=1m"
ROWS = 3500


class Failing:
    """A history with a price a second. It answers `good` reads, and then fails or hangs."""

    def __init__(self, good: int, how: str) -> None:
        self.good = good
        self.how = how

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return prices, fail, or hang."""
        assert not newest_first or limit <= 1000
        if self.good == 0:
            if self.how == "hanging":
                await asyncio.Event().wait()
            raise StoreUnavailable("away")
        self.good -= 1
        first = max(0, -int((NOW - start) // 1))
        return [price(symbol, NOW + number) for number in range(first, min(ROWS, first + limit)) if NOW + number <= end]


def routes(history: Failing, seconds: float = 0.1) -> list[Route]:
    """Return the routes over it, with this time limit."""
    reader: Any = history  # no more of a history is asked for
    stored = HistoryRoutes(CATALOG, reader, lambda: NOW, seconds).routes()
    stored += UdfRoutes(CATALOG, reader, lambda: NOW, seconds).routes()
    return stored + CandlesRoute(CATALOG, reader, lambda: NOW, seconds).routes()


BARS = "/udf/history?symbol=a0&resolution=1&countback=9"


@pytest.mark.parametrize("target", ["/prices/a0/history", "/prices/a0/at?time=1", "/prices/a0/candles", BARS])
async def test_a_history_that_hangs_is_503(target: str) -> None:
    """503 with Retry-After, as for a history that fails."""
    app = build(routes(Failing(0, "hanging")), Metrics(CollectorRegistry()))
    async with asyncio.timeout(allowed(5)):
        answer = await get(app, target)
    assert (answer.status, answer.json["msg"]) == (503, "History cannot be read now")
    assert (answer.json["code"], answer.headers["retry-after"]) == ("history_unavailable", "1")


async def test_the_time_limit_is_shorter_than_that_of_a_stop() -> None:
    """So that a stopping process still sends the 503."""
    app = build(HistoryRoutes(CATALOG, Failing(0, "hanging")).routes(), Metrics(CollectorRegistry()))
    started = time.monotonic()
    assert (await get(app, "/prices/a0/history")).status == 503
    assert time.monotonic() - started < allowed(STOP_SECONDS)


@asynccontextmanager
async def served(history: Failing) -> AsyncIterator[tuple[str, int]]:
    """Serve the routes as the service does; yield host and port."""
    metrics = Metrics(CollectorRegistry())
    server = Server(build(routes(history), metrics), Limits(), metrics, STOP_SECONDS)
    with listening("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        where = urlsplit(address_of(listener))
        yield where.hostname or "", where.port or 0
        server.should_exit = True
        await serving


def read_all(host: str, port: int, headers: dict[str, str]) -> tuple[int, bytes]:
    """GET the candles; raises IncompleteRead if the response is cut off."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", CANDLES, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


FORMS = pytest.mark.parametrize(
    "headers", [{}, {"Accept": "text/csv"}, {"Accept-Encoding": "gzip"}], ids=["json", "csv", "gzip"]
)


@FORMS
@pytest.mark.parametrize("how", ["failing", "hanging"])
async def test_candles_that_cannot_be_read_to_the_end_are_cut_off(
    headers: dict[str, str], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The last chunk is never sent, so clients notice; also for CSV and gzip. The log has a line, and no traceback."""
    caplog.clear()
    async with served(Failing(2, how)) as (host, port):
        with pytest.raises(http.client.IncompleteRead), capture_logs() as logs:
            await asyncio.to_thread(read_all, host, port, headers)
    warned = [(line["event"], line["path"]) for line in logs if line["log_level"] == "warning"]
    assert warned == [("response_cut_off", "/prices/a0/candles")]
    assert not [record for record in caplog.records if record.exc_info]


@FORMS
async def test_candles_that_can_be_read_are_complete(headers: dict[str, str]) -> None:
    """The same over a history that always answers."""
    async with served(Failing(9, "failing")) as (host, port):
        status, body = await asyncio.to_thread(read_all, host, port, headers)
    assert (status, len(body) > 100) == (200, True)
