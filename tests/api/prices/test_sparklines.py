"""GET /sparklines, from prices in memory."""

from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.prices.sparklines import SparklineRoutes
from aggregator.observability.metrics import Metrics
from aggregator.prices.figures_keeper import FiguresKeeper
from tests.parts import asgi
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.memory_history import MemoryHistory


async def test_sparklines_of_many_assets() -> None:
    """Known prices with the reason why there are not more; names without an asset; at most 200 assets."""
    figures = FiguresKeeper(CATALOG, MemoryHistory(), lambda: NOW)
    figures.receive([price(timestamp=NOW - 600, amount="1.5"), price(timestamp=NOW, amount="2")])
    routes = SparklineRoutes(CATALOG, figures, lambda: NOW).routes()
    app = build(routes, Metrics(CollectorRegistry()))
    answer = await asgi.get(app, "/sparklines?assets=BTC-USDT,ethusdt,nosuch")
    known, unknown = answer.json["sparklines"]
    assert (known["asset"], known["reason"]) == ("btcusdt", "loading")
    assert [float(one) for one in known["prices"]] == [1.5, 2.0]
    assert [float(one) for one in known["timestamps"]] == [NOW - 600, NOW]
    assert (unknown["asset"], unknown["prices"], unknown["timestamps"]) == ("ethusdt", [], [])
    assert [one["asset"] for one in answer.json["missing"]] == ["nosuch"]
    for query in ("", "?assets=", "?assets=" + ",".join(f"a{number}" for number in range(201))):
        refused = await asgi.get(app, f"/sparklines{query}")
        assert (refused.status, refused.json["code"]) == (400, "invalid_parameter")
