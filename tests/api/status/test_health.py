"""GET /health: OK for probes, and measured figures for those who accept JSON."""

from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.status.exchange_status import LocalStatus
from aggregator.api.status.ops import OpsRoutes
from aggregator.api.status.partitions import LONGEST_WAIT
from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.prices.freshness import Freshness, VenueCoverage
from aggregator.trades.ports import Backlog, Latencies, PartitionLag
from tests.parts.asgi import get
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.scripted import ScriptedExchange, Store
from tests.parts.trade_api import KnownTrades

JSON = {"Accept": "application/json"}


class Away(Store):
    """A store that cannot be reached."""

    async def ping(self) -> None:
        """Fail."""
        raise StoreUnavailable("away")


def app_of(trades: KnownTrades | None, cache: Store | None = None, *, fresh: bool = True) -> Any:
    """Return the application of a process with fresh prices, unless they are not `fresh`."""
    metrics = Metrics(CollectorRegistry())
    freshness = Freshness(CATALOG, metrics)
    if fresh:
        freshness.receive([price(timestamp=NOW), price("ethusdt", NOW)])
    stores = {"cache": cache or Store(), "history": Store()}
    watch = LocalStatus([ScriptedExchange("exchange1")])
    ops = OpsRoutes(CATALOG, stores, [], watch, VenueCoverage(), freshness, None, metrics, lambda: NOW, trades=trades)
    return build(ops.routes(), metrics)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain, application/json; q=0.0"]
)
async def test_a_probe_gets_ok(accept: str) -> None:
    """Whatever the state of the service is."""
    trades = KnownTrades()
    trades.trouble = "disk full"
    answer = await get(app_of(trades, Away(), fresh=False), "/health", {"Accept": accept} if accept else {})
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"OK", "text/plain; charset=utf-8")


async def test_the_figures_are_those_of_the_processor() -> None:
    """And null where nothing was measured, or where the process takes in no trades."""
    trades = KnownTrades()
    trades.backlog, trades.latencies = Backlog(12, 0.5), Latencies(0.003, 0.011, 0.004)
    trades.lags = [PartitionLag(3, 12, 0.4)]
    found = (await get(app_of(trades), "/health", JSON)).json
    assert 0 <= found.pop("uptime_seconds") < 3600
    assert found == {
        "status": "healthy",
        "consumer_lag": 12,
        "store_latency_p99": Decimal("0.004"),
        "ingest_latency_p50": Decimal("0.003"),
        "ingest_latency_p99": Decimal("0.011"),
        "checked_at": "2025-10-09T08:53:20.000Z",
        "partitions": [{"partition": 3, "records": 12, "seconds": Decimal("0.4")}],
    }
    measured = [name for name in found if name.endswith(("p50", "p99"))]
    quiet = (await get(app_of(KnownTrades()), "/health", JSON)).json
    assert [quiet["consumer_lag"], *(quiet[name] for name in measured)] == [0, None, None, None]
    without = (await get(app_of(None), "/health", JSON)).json
    assert [without["status"], without["consumer_lag"], *(without[name] for name in measured)] == [
        "healthy",
        *[None] * 4,
    ]


@pytest.mark.parametrize(
    ("waited", "trouble", "cache", "fresh", "status"),
    [
        (0.0, "", Store(), True, "healthy"),
        (LONGEST_WAIT, "", Store(), True, "healthy"),
        (LONGEST_WAIT + 0.1, "", Store(), True, "degraded"),
        (0.0, "", Away(), True, "degraded"),
        (0.0, "", Store(), False, "degraded"),
        (0.0, "disk full", Store(), True, "unhealthy"),
        (LONGEST_WAIT + 0.1, "disk full", Away(), False, "unhealthy"),
    ],
)
async def test_the_status(waited: float, trouble: str, cache: Store, status: str, *, fresh: bool) -> None:
    """The response is 200 in every case: the process is alive."""
    trades = KnownTrades()
    trades.backlog, trades.trouble = Backlog(1, waited), trouble
    answer = await get(app_of(trades, cache, fresh=fresh), "/health", JSON)
    assert (answer.status, answer.json["status"]) == (200, status)


async def test_trades_that_are_not_stored_are_a_reason_of_ready() -> None:
    """The service stays ready: it serves prices."""
    trades = KnownTrades()
    trades.trouble = "disk full"
    answer = await get(app_of(trades), "/ready")
    assert (answer.status, answer.json["reasons"]) == (200, ["trades: disk full"])
