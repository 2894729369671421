"""ccxt against the same local venues: the same tickers from the same bytes as our dialects, and the same reasons."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import CannotGoOn
from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.venues.ccxt import CcxtExchange
from aggregator.models import Clock, LeftOut, Reason, Ticker
from aggregator.observability.metrics import Metrics
from tests.exchanges.polled import ASSETS, BTC, NOWHERE
from tests.exchanges.venues.base import Quote, Venue, running
from tests.exchanges.venues.servers import SERVERS
from tests.parts.clock import Clock as Hands
from tests.parts.examples import NOW
from tests.parts.process import ROOT

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("ccxt") is None, reason="ccxt, an extra, is not installed"),
]

COMPARED = ("binance", "coinbase", "kraken", "okx", "bybit")  # ccxt need not know a later one
LIBRARY = {"coinbase": "coinbaseexchange"}  # ccxt's name where it is not ours


class Both:
    """One local venue with two clients: our dialect and ccxt."""

    def __init__(self, name: str, venue: Venue, ours: HttpExchange, theirs: CcxtExchange) -> None:
        self.name = name
        self.venue = venue
        self.ours = ours
        self.theirs = theirs


@pytest.fixture(params=COMPARED)
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """Open both clients of each venue in turn, without rate limits, which are in real seconds."""
    name = str(request.param)
    async with session(5) as http, running(SERVERS[name](now=lambda: NOW)) as venue:
        dialect, hands = DIALECTS[name](), Hands()
        dialect.rate_limit = None
        metrics = Metrics(CollectorRegistry())
        ours = HttpExchange(name, venue.url, dialect, http, metrics, 8, clock=hands, now=lambda: NOW)
        theirs = CcxtExchange(name, LIBRARY.get(name, name), venue.url, metrics, 8, 5.0, None, hands, lambda: NOW)
        theirs._rate_limiter = None
        assert await ours.read_listing() is None
        assert await theirs.read_listing() is None
        yield Both(name, venue, ours, theirs)
        await theirs.close()


async def test_the_same_ticker_from_the_same_bytes(both: Both) -> None:
    """All fields are equal to the last digit, except Bybit's time, which ccxt does not read."""
    for asset in ASSETS:
        ours = (await both.ours.fetch([asset]))[asset.symbol]
        theirs = (await both.theirs.fetch([asset]))[asset.symbol]
        assert isinstance(ours, Ticker)
        assert isinstance(theirs, Ticker), theirs
        assert (theirs.exchange, theirs.symbol, theirs.timestamp) == (ours.exchange, ours.symbol, ours.timestamp)
        assert (str(theirs.price), str(theirs.volume)) == (str(ours.price), str(ours.volume))
        assert theirs.clock == (Clock.RECEIPT if both.name in ("kraken", "bybit") else ours.clock)


async def test_the_same_listing(both: Both) -> None:
    """Both know which pairs are traded and which are not."""
    both.venue.quotes["ethusdt"] = Quote("eth", "usdt", "1", "1", trading=False)
    assert await both.ours.read_listing() is None
    assert await both.theirs.read_listing() is None
    for asset in (*ASSETS, NOWHERE):
        assert both.theirs.trades(asset.symbol) is both.ours.trades(asset.symbol)
        assert both.theirs.trades(asset.symbol) is (asset not in (ASSETS[2], NOWHERE))


async def reason(exchange: HttpExchange | CcxtExchange) -> Reason:
    """Fetch an asset for which there is no ticker, and return the reason."""
    answer = (await exchange.fetch([BTC]))["btcusdt"]
    assert isinstance(answer, LeftOut), answer
    return answer.reason


async def test_the_same_reasons(both: Both) -> None:
    """A pair delisted since, a rate limit, and maintenance as far as ccxt tells it from a fault."""
    del both.venue.quotes["btcusdt"]
    assert await reason(both.ours) is Reason.HTTP_ERROR
    assert await reason(both.theirs) is Reason.HTTP_ERROR
    both.venue.fault = both.venue.maintenance
    assert await reason(both.ours) is Reason.MAINTENANCE
    assert await reason(both.theirs) in (Reason.MAINTENANCE, Reason.HTTP_ERROR, Reason.UNREACHABLE)
    both.venue.fault = both.venue.too_often
    assert await reason(both.ours) is await reason(both.theirs) is Reason.RATE_LIMITED
    assert both.theirs.quiet_seconds >= 1
    assert both.theirs.breaker_state == "closed"


async def test_five_failures_open_its_breaker(both: Both) -> None:
    """Refused connections open the breaker."""
    both.theirs._client.urls["api"] = "http://127.0.0.1:1"
    both.venue.fault = both.venue.maintenance
    for _ in range(5):
        assert both.theirs.breaker_state == "closed"
        await reason(both.theirs)
    assert await reason(both.theirs) is Reason.BREAKER_OPEN


def test_an_exchange_that_ccxt_does_not_know() -> None:
    """The error names the exchange and the command that lists all."""
    with pytest.raises(CannotGoOn, match="knows no exchange 'nosuch'"):
        CcxtExchange("x", "nosuch", "", Metrics(CollectorRegistry()), 4, 1)


def test_ccxt_is_imported_only_where_it_is_named() -> None:
    """The service does not import ccxt, which takes seconds and a hundred megabytes, unless it is named."""
    code = "import sys, aggregator.cli.main, aggregator.runtime.roles; sys.exit('ccxt' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=dict(os.environ))
