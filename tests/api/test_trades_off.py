"""The routes of the trade stream in a process that takes no trades."""

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.trades_off import routes_without_trades
from aggregator.observability.metrics import Metrics
from tests.parts.asgi import get

OFF = [(route.method, route.path.replace("{asset:path}", "btcusdt")) for route in routes_without_trades()]


@pytest.mark.parametrize(("method", "path"), OFF)
async def test_a_process_without_trades(method: str, path: str) -> None:
    """Every route of the trade stream answers 501, whatever its parameters."""
    app = build(routes_without_trades(), Metrics(CollectorRegistry()))
    for target in (path, f"{path}?symbol=nosuch&limit=-1"):
        answer = await get(app, target, method=method)
        assert (answer.status, answer.json["code"]) == (501, "trades_off")


def test_the_routes_without_trades() -> None:
    """They are all routes of the trade stream."""
    assert {path for _, path in OFF} >= {
        "/ingest",
        "/trades/btcusdt",
        "/query",
        "/quotes/btcusdt",
        "/aggregations/btcusdt",
        "/features/btcusdt",
    }
