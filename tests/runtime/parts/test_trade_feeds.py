"""The feeds of trades that the settings ask for: at which addresses, and of which assets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.exchanges.push.trade_feed import TradeFeed, TradeSinks
from aggregator.exchanges.targets import ExchangeTarget, exchange_targets
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import trade_key
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.parts.exchanges import open_exchanges
from aggregator.settings import Settings
from aggregator.settings.loader import load
from aggregator.stores.memory import MemoryCache
from tests.exchanges.calls import value
from tests.exchanges.push.scene import until
from tests.exchanges.push.trade_scene import Buried, Log
from tests.exchanges.venues.trade_server import trading
from tests.exchanges.venues.trade_venues import MockTradeVenue
from tests.parts.exchanges import Market
from tests.parts.exchanges import market as market_of_exchanges
from tests.parts.service import call

pytestmark = pytest.mark.real


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    """Return a symbols file with two assets."""
    path = tmp_path / "symbols.csv"
    path.write_text("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n")
    return path


class Opened(msgspec.Struct):
    """The feeds of trades, and where their trades go."""

    feeds: list[TradeFeed]
    log: Log
    buried: Buried
    metrics: Metrics

    def connected(self, exchange: str) -> bool:
        """Whether the gauge shows a connection."""
        return value(self.metrics, "trades_feed_connected", exchange=exchange) == 1

    def gaps(self, exchange: str) -> float:
        """Return how many interruptions were counted as filled."""
        return value(self.metrics, "trades_feed_gaps_total", exchange=exchange, outcome="filled")


@pytest.fixture(scope="module")
def trading_market() -> Iterator[Market]:
    """Run three mock exchanges that make trades."""
    with market_of_exchanges(trades=True) as running:
        yield running


@pytest.fixture
def market(trading_market: Market) -> Iterator[Market]:
    """Return these exchanges, without faults before and after the test."""
    trading_market.sound()
    yield trading_market
    trading_market.sound()


@asynccontextmanager
async def opened(
    exchanges: str, symbols: Path, subscribes: Callable[[], bool] = lambda: True, *, trade_feeds: bool = True
) -> AsyncIterator[Opened]:
    """Open the exchanges of a setting and run their feeds of trades."""
    named = {"exchanges": exchanges, "symbols_file": str(symbols), "trade_feeds": str(trade_feeds)}
    settings = load(named | {"hot_size": "1", "medium_size": "1", "min_sources": "1"})
    catalog, log, buried, metrics = catalog_of(settings), Log(), Buried(), Metrics(CollectorRegistry())
    async with AsyncExitStack() as stack:
        found = await open_exchanges(
            settings,
            catalog,
            MemoryCache(NewestPrices({tier: cadence.ttl for tier, cadence in catalog.cadence.items()}), Bus([PRICES])),
            metrics,
            stack,
            subscribes=subscribes,
            trade_sinks=TradeSinks(log, buried),
        )
        running = [asyncio.create_task(feed.run()) for feed in found.trade_feeds]
        try:
            yield Opened(list(found.trade_feeds), log, buried, metrics)
        finally:
            for task in running:
                assert not task.done(), task
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("suffix", ["", "+ws"])
async def test_a_mock_exchange_is_subscribed_at_its_own_address(suffix: str, symbols: Path) -> None:
    """With or without +ws, the hot assets' trades come from the address of its REST server."""
    async with (
        trading(MockTradeVenue()) as venue,
        opened(f"a=mock+{venue.url}{suffix}", symbols) as scene,
    ):
        await until(lambda: venue.subscribed)
        (made,) = await venue.trade()
        await until(lambda: len(scene.log.trades) == 1)
        trade = scene.log.trades[0]
        assert (trade.asset, trade.venue, trade.id) == ("btcusdt", "a", str(made.number))
        assert venue.heard == [{"op": "subscribe", "symbols": ["btcusdt"]}]


async def test_a_process_without_the_lease_subscribes_to_nothing(symbols: Path) -> None:
    """Another process owns the feeds; when this one gets them, it subscribes."""
    owns = [False]
    async with trading(MockTradeVenue()) as venue, opened(f"a=mock+{venue.url}", symbols, lambda: owns[0]):
        await asyncio.sleep(0)
        assert venue.connections == 0
        owns[0] = True
        await until(lambda: venue.subscribed)
        owns[0] = False
        await until(lambda: not venue.subscribed)


async def test_without_the_setting_there_are_no_feeds(symbols: Path) -> None:
    """TRADE_FEEDS is false by default."""
    assert not Settings.model_fields["trade_feeds"].default
    async with opened("a=mock+http://127.0.0.1:1", symbols, trade_feeds=False) as scene:
        assert scene.feeds == []


def test_addresses() -> None:
    """The address of the feed of tickers, else the public one; none for a library's exchange or a recording."""
    targets = exchange_targets(
        "kraken,a=kraken+ws,b=okx+ws+wss://x.test:1/y,c=coinbase+http://127.0.0.1:1,m=mock+https://x.test/z,ccxt:gemini"
    )
    assert [target.trades_url for target in targets] == ["", "", "wss://x.test:1/y", "", "wss://x.test/z", None]
    assert ExchangeTarget("a", "replay", "a.rec.gz").trades_url is None


async def test_the_trades_of_real_mock_exchanges(market: Market, symbols: Path) -> None:
    """Each trade that a mock exchange keeps is in the log, also those it has made while connections were cut."""
    async with opened(market.setting, symbols) as scene:
        urls = {exchange.name: exchange.url for exchange in market.exchanges.values()}

        def venues() -> set[str]:
            return {trade.venue for trade in scene.log.trades}

        await until(lambda: venues() == set(urls))
        for exchange in market.exchanges.values():
            await asyncio.to_thread(exchange.faults, drop_rate=1)
        await until(lambda: not any(scene.connected(name) for name in urls))
        await asyncio.to_thread(market.sound)
        await until(lambda: all(scene.gaps(name) for name in urls))
        for name, url in urls.items():
            answer = await asyncio.to_thread(call, "GET", f"{url}/mock/trades?symbols=btcusdt&limit=1000")
            kept = {one["id"]: float(one["timestamp"]) for one in answer.json["trades"]}
            mine = {trade.id: trade.timestamp for trade in scene.log.trades if trade.venue == name}
            first = min(mine.values())
            expected = {one for one, at in kept.items() if at > first}
            await until(lambda expected=expected, name=name: expected <= ids(scene, name))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
            assert all(kept[one] == at for one, at in mine.items() if one in kept)
        assert scene.buried.rejections == []
        assert {trade.asset for trade in scene.log.trades} == {"btcusdt"}


async def test_faults_of_real_mock_exchanges(market: Market, symbols: Path) -> None:
    """Garbage and impossible prices become dead letters; duplicates and late trades are trades."""
    async with opened(market.setting, symbols) as scene:
        await until(lambda: bool(scene.log.trades))
        for fault, value, code in (("garbage_rate", 1, "malformed"), ("price", "-1", "price")):
            for exchange in market.exchanges.values():
                await asyncio.to_thread(exchange.faults, **{fault: value})
            await until(lambda code=code: sources(scene, code) == set(market.exchanges))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        for exchange in market.exchanges.values():
            await asyncio.to_thread(exchange.faults, trade_duplicates=1, trade_late=0.5, trade_late_seconds=1)
        await until(lambda: len(scene.log.trades) > len({(one.venue, trade_key(one)) for one in scene.log.trades}))


def sources(scene: Opened, code: str) -> set[str]:
    """Return the venues of the rejections with this code."""
    return {one.source for one in scene.buried.rejections if one.code == code}


def ids(scene: Opened, venue: str) -> set[str]:
    """Return the ids of a venue's trades in the log."""
    return {trade.id for trade in scene.log.trades if trade.venue == venue}
