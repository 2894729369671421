"""One service for the clients: with keys, trades, alerts, paper trading and news, on seven assets."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace
from rt_price_aggregator_client import Client, NewTrade

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service
from tests.parts.short_list import INTERVALS, SIZES, SYMBOLS, write_symbols

KEY, READ_KEY = "a-key-of-tests", "a-key-for-reading"


@pytest.fixture(scope="package")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service until it has prices, history, and trades of one asset."""
    folder = tmp_path_factory.mktemp("clients")
    shared_market.sound()
    settings = {"symbols_file": write_symbols(folder), "api_keys": KEY, "read_keys": READ_KEY, "strategy": True}
    running = Service(folder, exchanges=shared_market.setting, **settings, **SIZES, **INTERVALS).filled()
    with Client(running.url, api_key=KEY) as client:
        client.ingest(a_drop_and_a_gain())
        wait_for(lambda: client.prices(SYMBOLS).missing == [], what="prices")
        wait_for(lambda: len(list(client.history("btcusdt"))) > 12, what="history")
        wait_for(lambda: client.features("btcusdt").trade_frequency == 20, what="features")
        wait_for(lambda: client.closed_totals().closed > 0, what="a closed paper position")
        wait_for(lambda: len(client.exchanges().exchanges) == 3, what="a report on the exchanges")
    yield running
    assert running.process.stop() == 0, running.process.output
    assert "Traceback" not in running.process.output


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """Connect to the service with a key."""
    with Client(service.url, api_key=KEY) as connected:
        yield connected


def a_drop_and_a_gain() -> list[NewTrade]:
    """Return 21 trades of which the paper strategy makes a position with a gain; the first is over a minute old."""
    usual = trades(20)
    before, after = usual[0], usual[-1]
    return [
        replace(before, id="before", price=Decimal(60), timestamp=time.time() - 70),
        *usual[:-1],
        replace(after, price=Decimal(58)),
    ]


def trades(count: int, asset: str = "btcusdt", venue: str = "desk") -> list[NewTrade]:
    """Return trades of the last seconds; their ids are their numbers."""
    now = round(time.time(), 3) - 5
    return [
        NewTrade(
            asset=asset,
            price=Decimal(50_000 + number) / 1000,
            volume=Decimal("0.25"),
            timestamp=now + number / 1000,
            venue=venue,
            id=str(number),
            side="buy",
        )
        for number in range(count)
    ]
