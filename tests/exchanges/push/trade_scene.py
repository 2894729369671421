"""A feed of trades and a local venue, over real WebSockets and HTTP; the event log and the dead letters are lists."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from prometheus_client import CollectorRegistry

from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.push.trade_feed import MOST_BYTES, TradeFeed, TradeSinks
from aggregator.exchanges.registry import DIALECTS, TRADING
from aggregator.models import Asset, Trade
from aggregator.observability.metrics import Metrics
from aggregator.trades.ports import BacklogFull, Receipt
from aggregator.trades.rejection import Rejection
from tests.exchanges.calls import value
from tests.exchanges.push.scene import BTC, DOGE, ETH
from tests.exchanges.venues.trade_server import TradeVenue, trading
from tests.exchanges.venues.trade_venues import TRADE_VENUES


class Log:
    """An event log with room for `room_left` trades; what it has taken is in `trades`."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.room_left = 1_000_000
        self.failure: Exception | None = None
        self.waited = 0
        self._room = asyncio.Event()

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:  # noqa: ARG002  # of the port
        """As `EventLog.append`."""
        if len(trades) > self.room_left:
            raise BacklogFull(1)
        self.room_left -= len(trades)
        self.trades += trades
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self.failure is None:
            future.set_result(Receipt(len(trades), 0))
        else:
            future.set_exception(self.failure)
        return future

    async def room(self) -> None:
        """As `EventLog.room`."""
        self.waited += 1
        await self._room.wait()

    def empty(self) -> None:
        """Make room."""
        self.room_left = 1_000_000
        self._room.set()


class Buried:
    """Dead letters in a list."""

    def __init__(self) -> None:
        self.rejections: list[Rejection] = []

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """As `DeadLetters.bury`."""
        self.rejections += rejections


class TradeScene:
    """A local venue, and the feed of its trades."""

    def __init__(self, name: str, venue: TradeVenue, http: aiohttp.ClientSession) -> None:
        self.name, self.venue = name, venue
        self.metrics = Metrics(CollectorRegistry())
        self.wanted: Sequence[Asset] = [BTC, ETH]
        self.log, self.buried = Log(), Buried()
        self.polled = HttpExchange(name, venue.url, DIALECTS[name](), http, self.metrics, 4)
        dialect = TRADING[name]()
        self.feed = TradeFeed(
            name,
            venue.push_url,
            dialect,
            connector(http, time.time, MOST_BYTES),
            lambda: self.wanted,
            {asset.symbol: asset for asset in (BTC, ETH, DOGE)}.get,
            partial(self.polled.recent_trades, dialect),
            TradeSinks(self.log, self.buried),
            self.metrics.trades,
        )

    @property
    def ids(self) -> list[str]:
        """The ids of the trades in the log."""
        return [trade.id for trade in self.log.trades]

    def has(self, *numbers: int) -> bool:
        """Whether the log has these trades."""
        return {str(number) for number in numbers} <= set(self.ids)

    def codes(self) -> list[str]:
        """Return the codes of the rejections."""
        return [one.code for one in self.buried.rejections]

    def gaps(self, outcome: str) -> float:
        """Return how many interruptions were counted with this outcome."""
        return value(self.metrics, "trades_feed_gaps_total", exchange=self.name, outcome=outcome)

    def state(self) -> float:
        """Return the gauge of the connection."""
        return value(self.metrics, "trades_feed_connected", exchange=self.name)


@asynccontextmanager
async def running(name: str, venue: TradeVenue | None = None) -> AsyncIterator[TradeScene]:
    """Run the local venue and the feed."""
    async with trading(venue or TRADE_VENUES[name]()) as served, session(5) as http:
        scene = TradeScene(name, served, http)
        running = asyncio.create_task(scene.feed.run())
        try:
            yield scene
        finally:
            assert not running.done(), running
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
