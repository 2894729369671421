"""The routes of the trade stream in a process that takes no trades in, or cannot read stored ones."""

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.trades.trades_off import routes_without_ingest, routes_without_stored_trades
from aggregator.observability.metrics import Metrics
from tests.parts.asgi import get
from tests.parts.routes import every_route

STORED = routes_without_stored_trades(every_route())
NOT_STORED = "This process cannot read stored trades: set AGGREGATOR_TRADES_URL to the store of the process that"


@pytest.mark.parametrize("target", ["/ingest", "/ingest?symbol=nosuch&limit=-1"])
async def test_a_process_that_takes_no_trades(target: str) -> None:
    """501, whatever the request."""
    answer = await get(build(routes_without_ingest(), Metrics(CollectorRegistry())), target, method="POST")
    assert (answer.status, answer.json["code"]) == (501, "trades_off")
    assert answer.json["msg"].startswith("This process takes no trades in: run one with")


@pytest.mark.parametrize("target", ["/trades/btcusdt", "/query?symbol=btcusdt", "/query?symbol=nosuch&limit=-1"])
async def test_a_process_that_cannot_read_stored_trades(target: str) -> None:
    """501, whatever the request."""
    answer = await get(build(STORED, Metrics(CollectorRegistry())), target)
    assert (answer.status, answer.json["code"]) == (501, "trades_off")
    assert answer.json["msg"].startswith(NOT_STORED)


async def test_what_needs_no_store() -> None:
    """Last trades and features are answered all the same, and no other route is changed."""
    routes = every_route()
    off = routes_without_stored_trades(routes)
    assert {one.label for one, before in zip(off, routes, strict=True) if one is not before} == {"/trades", "/query"}
    answer = await get(build(off, Metrics(CollectorRegistry())), "/features/btcusdt")
    assert (answer.status, answer.json["code"]) == (404, "no_trade")
