"""The routes of trades over a store in memory, in this process; and what a processor would know."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.trades.features import FeatureRoutes
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.api.trades.routes import TradeRoutes
from aggregator.models import Side, Trade
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import assign
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.features import Features
from aggregator.trades.ports import Backlog, Latencies, PartitionLag
from tests.parts.asgi import all_pages, get
from tests.parts.examples import CADENCE, NOW

CATALOG = assign([(symbol, "", "") for symbol in ("btcusdt", "ethusdt", "solusdt")], 1, 0, CADENCE)


def trade(
    number: int = 1, price: str = "100", volume: str | None = "1", timestamp: float = NOW, asset: str = "btcusdt"
) -> Trade:
    """Return a trade; its id is its number."""
    return Trade(asset, Decimal(price), None if volume is None else Decimal(volume), timestamp, "venue", str(number))


def features(asset: str = "btcusdt", window_end: float = NOW) -> Features:
    """Return the features of an asset that has had one trade."""
    return Features(
        asset=asset,
        vwap_1min=100.5,
        vwap_5min=100.25,
        rolling_avg_5min=100.125,
        volume_zscore=None,
        price_momentum=None,
        trade_frequency=1,
        vwap_deviation=0.75,
        window_start=window_end - 300,
        window_end=window_end,
        updated_at=window_end + 0.01,
        warming_up=("volume_zscore", "price_momentum"),
    )


class KnownTrades:
    """`LiveTrades` as a test sets it."""

    def __init__(self) -> None:
        self.quotes: dict[str, Trade] = {}
        self.known: dict[str, Features] = {}
        self.backlog = Backlog(0, 0.0)
        self.latencies = Latencies(None, None, None)
        self.trouble = ""
        self.lags: Sequence[PartitionLag] = ()

    def features(self, asset: str) -> Features | None:
        """Return the features of an asset."""
        return self.known.get(asset)

    def quote(self, asset: str) -> Trade | None:
        """Return the last trade of an asset."""
        return self.quotes.get(asset)


class TradeApi:
    """An ASGI application at NOW. A read of the store may take a minute: a busy machine must not cause a 503."""

    def __init__(self, store: Any = None) -> None:
        self.live = KnownTrades()
        self.store = MemoryTrades(1e12, lambda: NOW) if store is None else store
        self.hot = HotTrades(self.live)
        self.metrics = Metrics(CollectorRegistry())
        routes = TradeRoutes(CATALOG, self.store, self.hot, lambda: NOW, 60).routes()
        self.app: ASGIApp = build([*routes, *FeatureRoutes(CATALOG, self.hot).routes()], self.metrics)

    async def get(self, target: str, **headers: str) -> Any:
        """GET a target that must answer 200; return the decoded body."""
        answer = await get(self.app, target, headers)
        assert answer.status == 200, answer.text
        return answer.json

    async def pages(self, target: str) -> list[dict[str, Any]]:
        """Follow `Link: rel="next"` to the end; return all rows."""
        return await all_pages(self.app, target, "trades")


def sold(one: Trade, sequence: int) -> Trade:
    """Return the trade with a side and a sequence number."""
    return msgspec.structs.replace(one, side=Side.SELL, sequence=sequence)


def ids(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the id of each row."""
    return [row["id"] for row in rows]
