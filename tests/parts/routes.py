"""Routes for tests: every route of the service, without what its handler needs, and routes to a test's handlers."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.alerts.topic import ALERTS
from aggregator.anomalies.event import ANOMALIES
from aggregator.api.events.alerts import AlertRoutes
from aggregator.api.events.anomalies import AnomalyRoute
from aggregator.api.events.positions import PositionRoutes
from aggregator.api.events.sentiment import SentimentRoute
from aggregator.api.events.signals import SignalRoutes
from aggregator.api.guide import GuideRoutes
from aggregator.api.pages import BrowserRoutes
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.prices.history import HistoryRoutes
from aggregator.api.prices.refresh import RefreshRoute
from aggregator.api.prices.routes import PriceRoutes
from aggregator.api.prices.sources import SourcesRoute
from aggregator.api.prices.sparklines import SparklineRoutes
from aggregator.api.routing.description import Parameter, Response
from aggregator.api.routing.route import Route
from aggregator.api.status.exchanges import ExchangeRoutes
from aggregator.api.status.ops import OpsRoutes
from aggregator.api.streams.socket import SocketRoute
from aggregator.api.streams.stream import StreamRoute
from aggregator.api.trades.features import FeatureRoutes
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.api.trades.ingest import IngestRoute
from aggregator.api.trades.routes import TradeRoutes
from aggregator.api.udf.routes import UdfRoutes
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import AnyTopic
from aggregator.news.topic import SENTIMENT
from aggregator.observability.metrics import Metrics
from aggregator.strategy.signals import SIGNALS
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.examples import CATALOG
from tests.parts.trade_api import KnownTrades

_NONE = cast("Any", None)  # a part that no test asks for

TOPICS: dict[str, AnyTopic] = {
    topic.name: topic for topic in (PRICES, TRADES, FEATURES, ANOMALIES, SIGNALS, SENTIMENT, ALERTS)
}
HOT = HotTrades(KnownTrades())
OPS = OpsRoutes(CATALOG, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE).routes()


def every_route() -> list[Route]:
    """Return every route but /openapi.json."""
    return [
        *PriceRoutes(CATALOG, _NONE, _NONE, _NONE).routes(),
        *SparklineRoutes(CATALOG, _NONE, _NONE).routes(),
        *SourcesRoute(CATALOG, _NONE, _NONE, _NONE).routes(),
        *RefreshRoute(CATALOG, _NONE, _NONE, _NONE).routes(),
        *HistoryRoutes(CATALOG, _NONE).routes(),
        *CandlesRoute(CATALOG, _NONE).routes(),
        *ExchangeRoutes(CATALOG, _NONE).routes(),
        *UdfRoutes(CATALOG, _NONE).routes(),
        *IngestRoute(_NONE, _NONE, _NONE, Metrics().trades).routes(),
        *TradeRoutes(CATALOG, _NONE, HOT).routes(),
        *FeatureRoutes(CATALOG, HOT).routes(),
        *AlertRoutes(CATALOG, _NONE, _NONE).routes(),
        *AnomalyRoute(CATALOG, _NONE, None).routes(),
        *SignalRoutes(CATALOG, _NONE).routes(),
        *PositionRoutes(CATALOG, _NONE).routes(),
        *SentimentRoute(CATALOG, _NONE).routes(),
        *StreamRoute(CATALOG, TOPICS, _NONE, _NONE).routes(),
        *SocketRoute(CATALOG, TOPICS, _NONE, _NONE).routes(),
        *BrowserRoutes(has_guide=False).routes(),
        *GuideRoutes().routes(),
        *OPS,
    ]


def route_to(path: str, handler: Callable[[Request], Awaitable[HttpResponse]], *, is_probe: bool = False) -> Route:
    """Return a GET route with the least description that `build` accepts."""
    return Route(
        "GET",
        path,
        label=f"/{path.split('/')[1]}",
        operation_id=f"get{path}",
        tag="service",
        summary="A test",
        parameters=[Parameter(name, "path", "", {"type": "string"}) for name in re.findall(r"{(\w+)", path)],
        responses={200: Response("Anything")},
        is_probe=is_probe,
        handler=handler,
    )
