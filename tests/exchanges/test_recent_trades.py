"""The call for recent trades is behind the safeguards of the calls for tickers: the same limits, breaker, cool-down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aggregator.errors import (
    BreakerOpen,
    ExchangeHttpError,
    ExchangeUnreachable,
    NotListed,
    RateLimited,
    Undecodable,
)
from aggregator.exchanges.http import MOST_OF_TRADES, HttpExchange, session
from aggregator.exchanges.registry import DIALECTS, TRADING
from aggregator.models import Asset, Reason, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.calls import reason
from tests.exchanges.venues.trade_server import TradeVenue, trading
from tests.exchanges.venues.trade_venues import TRADE_VENUES
from tests.parts.examples import BTC
from tests.parts.ports import free_port

pytestmark = pytest.mark.real


@asynccontextmanager
async def client(name: str, metrics: Metrics) -> AsyncIterator[tuple[TradeVenue, HttpExchange]]:
    """Run a venue and its client."""
    async with trading(TRADE_VENUES[name]()) as venue, session(5) as http:
        yield venue, HttpExchange(name, venue.url, DIALECTS[name](), http, metrics, 4)


async def test_a_call_takes_its_weight(metrics: Metrics) -> None:
    """Binance weighs the call, and its tokens are those of the tickers."""
    async with client("binance", metrics) as (venue, exchange):
        before = exchange.tokens
        await exchange.recent_trades(TRADING["binance"](), BTC)
        after = exchange.tokens
        assert before is not None
        assert after is not None
        assert before.left - after.left in range(20, 26)  # some are refilled meanwhile
        assert venue.asked == ["/api/v3/trades?symbol=BTCUSDT&limit=1000"]


async def test_a_429_begins_the_cool_down_of_all_calls(metrics: Metrics) -> None:
    """During the cool-down neither trades nor tickers are asked for."""
    async with client("coinbase", metrics) as (venue, exchange):
        venue.rest_status = 429
        for _ in range(3):
            with pytest.raises(RateLimited):
                await exchange.recent_trades(TRADING["coinbase"](), BTC)
        assert len(venue.asked) == 1
        assert await reason(exchange) is Reason.RATE_LIMITED


async def test_failures_open_the_breaker_of_all_calls(metrics: Metrics) -> None:
    """After five failures neither trades nor tickers are asked for."""
    async with client("coinbase", metrics) as (venue, exchange):
        venue.rest_status = 500
        for _ in range(5):
            with pytest.raises(ExchangeHttpError):
                await exchange.recent_trades(TRADING["coinbase"](), BTC)
        with pytest.raises(BreakerOpen):
            await exchange.recent_trades(TRADING["coinbase"](), BTC)
        assert len(venue.asked) == 5
        assert await reason(exchange) is Reason.BREAKER_OPEN


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("kraken", '{"error":["EQuery:Unknown asset pair"]}', NotListed),
        ("kraken", '{"error":["EGeneral:Too many requests"]}', RateLimited),
        ("kraken", '{"error":[],"result":{"last":"1"}}', Undecodable),
        ("okx", '{"code":"51001","msg":"Instrument ID does not exist","data":[]}', NotListed),
        ("okx", '{"code":"50011","msg":"Too Many Requests","data":[]}', RateLimited),
        ("bybit", '{"retCode":10001,"retMsg":"Not supported symbols","result":{}}', NotListed),
        ("mock", "[]", Undecodable),
        ("mock", f'{{"trades":[{",".join("1" * 3000)}]}}', Undecodable),
        ("mock", " " * (MOST_OF_TRADES + 1), Undecodable),
    ],
)
async def test_an_error_in_the_body(name: str, body: str, error: type[Exception], metrics: Metrics) -> None:
    """A body with status 200 may report an error for the whole call; one that is too long is not read."""
    async with client(name, metrics) as (venue, exchange):
        venue.body = body
        with pytest.raises(error):
            await exchange.recent_trades(TRADING[name](), BTC)
        assert (exchange.quiet_seconds > 0) is (error is RateLimited)


async def test_a_pair_without_a_name_is_not_asked_for(metrics: Metrics) -> None:
    """Coinbase needs base and quote."""
    async with client("coinbase", metrics) as (venue, exchange):
        with pytest.raises(NotListed):
            await exchange.recent_trades(TRADING["coinbase"](), Asset("btcusdt", "", "", Tier.HOT, 1))
        assert venue.asked == []


async def test_an_unreachable_venue(metrics: Metrics) -> None:
    """A refused connection is the error of any call."""
    async with session(5) as http:
        exchange = HttpExchange("mock", f"http://127.0.0.1:{free_port()}", DIALECTS["mock"](), http, metrics, 4)
        with pytest.raises(ExchangeUnreachable):
            await exchange.recent_trades(TRADING["mock"](), BTC)
