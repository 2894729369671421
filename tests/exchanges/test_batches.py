"""Calls for several symbols."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from aggregator.exchanges.http import HttpExchange
from aggregator.exchanges.venues.binance import Binance
from aggregator.exchanges.venues.coinbase import Coinbase
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import Asset, LeftOut, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.calls import MANY, UNLISTED, value
from tests.parts.exchanges import Market

pytestmark = pytest.mark.real


async def test_a_batch_is_one_call(exchange: HttpExchange, metrics: Metrics) -> None:
    """Six assets take one request; an asset that is not in the answer is not listed, which is no error of the call."""
    answers = await exchange.fetch([*MANY, UNLISTED])
    assert [symbol for symbol, answer in answers.items() if isinstance(answer, Ticker)] == [one.symbol for one in MANY]
    assert answers["nosuchcoin"] == LeftOut("exchange1", Reason.NOT_LISTED, "not in the answer")
    assert value(metrics, "price_exchange_requests_total", exchange="exchange1") == 1
    assert value(metrics, "price_exchange_errors_total", exchange="exchange1", error_type="not_listed") == 0


async def test_a_batch_that_fails_has_one_reason_for_all(
    market: Market, exchange: HttpExchange, metrics: Metrics
) -> None:
    """The failure counts once, for the breaker and in the metrics."""
    market.exchanges["exchange1"].faults(error_rate=1, status=503)
    answers = await exchange.fetch(MANY)
    assert [one.reason for one in answers.values() if isinstance(one, LeftOut)] == [Reason.HTTP_ERROR] * len(MANY)
    assert value(metrics, "price_exchange_errors_total", exchange="exchange1", error_type="http_error") == 1
    assert exchange.breaker_state == "closed"


def test_the_smaller_bound_counts(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """A batch has the size that the dialect takes, or less by the setting."""
    assert HttpExchange("x", "http://127.0.0.1:1", Mock(), http, metrics, 4).batch == 1000
    assert HttpExchange("x", "http://127.0.0.1:1", Mock(), http, metrics, 4, batch=7).batch == 7
    assert HttpExchange("x", "http://127.0.0.1:1", Coinbase(), http, metrics, 4, batch=7).batch == 1


async def test_a_listed_pair_missing_in_an_answer_is_undecodable(http: aiohttp.ClientSession, metrics: Metrics) -> None:
    """A price without such a venue is degraded: the venue lists the pair, and its answer says nothing about it."""
    pairs = {"BTCUSDT": "BTC", "ETHUSDT": "ETH"}

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/api/v3/exchangeInfo":
            listed = [
                {"symbol": name, "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT"}
                for name, base in pairs.items()
            ]
            return web.json_response({"symbols": listed})
        return web.json_response([{"symbol": "BTCUSDT", "lastPrice": "1", "volume": "1", "closeTime": 1000}])

    server = RawTestServer(answer)
    await server.start_server()
    exchange = HttpExchange("binance", str(server.make_url("/")), Binance(), http, metrics, 4)
    assert await exchange.read_listing() is None
    answers = await exchange.fetch(MANY[:3])
    await server.close()
    assert isinstance(answers["btcusdt"], Ticker)
    assert answers["ethusdt"] == LeftOut("binance", Reason.UNDECODABLE, "not in the answer")
    assert answers["solusdt"] == LeftOut("binance", Reason.NOT_LISTED, "not in its listing")


class Strict:
    """A server that refuses a whole batch for one unknown symbol, which the mock exchange never does."""

    def __init__(self, *unknown: str) -> None:
        self.unknown = set(unknown)
        self.asked: list[list[str]] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer for one symbol or several."""
        single = request.path.rpartition("/")[2]
        symbols = request.query["symbols"].split(",") if "symbols" in request.query else [single]
        self.asked.append(symbols)
        if self.unknown & set(symbols):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        bodies = [{"symbol": symbol, "price": 1, "volume": 1, "timestamp": 1} for symbol in symbols]
        return web.json_response({"tickers": bodies} if "symbols" in request.query else bodies[0])


@pytest.fixture
async def strict() -> AsyncIterator[tuple[Strict, str]]:
    """Serve it."""
    strict = Strict("coin3", "coin6")
    server = RawTestServer(strict.answer)
    await server.start_server()
    yield strict, str(server.make_url("/"))
    await server.close()


async def test_a_bad_symbol_in_a_batch_costs_only_itself(
    http: aiohttp.ClientSession, metrics: Metrics, strict: tuple[Strict, str]
) -> None:
    """The unknown symbol is found by halves, and the next batch goes without it."""
    server, url = strict
    exchange = HttpExchange("strict", url, Mock(), http, metrics, 4)
    coins = [Asset(f"coin{number}", "", "", Tier.COLD, number) for number in range(8)]
    for _ in range(2):
        answers = await exchange.fetch(coins)
        assert [symbol for symbol, one in answers.items() if isinstance(one, LeftOut)] == ["coin3", "coin6"]
        assert len(answers) == 8
    good = [coin.symbol for coin in coins if coin.symbol not in server.unknown]
    assert sorted(server.asked[-3:], key=len) == [["coin3"], ["coin6"], good]
    assert exchange.breaker_state == "closed"
    server.unknown.clear()
    for _ in range(2):  # listed now: found so when asked alone, and part of the batch again
        assert all(isinstance(one, Ticker) for one in (await exchange.fetch(coins)).values())
    assert server.asked[-1] == [coin.symbol for coin in coins]
