"""The registry of venues: one line each. A new venue is one file in `venues/`, two with trades, and one line here.

tests/exchanges/test_registry.py fails with a sentence where a line has no documented limits or no clock, or where the
venue has no local test server in tests/exchanges/venues/.
"""

from collections.abc import Callable, Mapping

import msgspec

from aggregator.exchanges.dialect import Dialect, PushDialect, TradeDialect
from aggregator.exchanges.venues.binance import Binance, BinancePush
from aggregator.exchanges.venues.binance_trades import BinanceTrades
from aggregator.exchanges.venues.bybit import Bybit, BybitPush
from aggregator.exchanges.venues.bybit_trades import BybitTrades
from aggregator.exchanges.venues.coinbase import Coinbase, CoinbasePush
from aggregator.exchanges.venues.coinbase_trades import CoinbaseTrades
from aggregator.exchanges.venues.kraken import Kraken, KrakenPush
from aggregator.exchanges.venues.kraken_trades import KrakenTrades
from aggregator.exchanges.venues.mock import Mock, MockPush
from aggregator.exchanges.venues.mock_trades import MockTrades
from aggregator.exchanges.venues.okx import Okx, OkxPush
from aggregator.exchanges.venues.okx_trades import OkxTrades
from aggregator.models import Clock


class Limit(msgspec.Struct, frozen=True):
    """A documented rate limit of one IP address: at most `most` calls, or weight, in any `seconds`."""

    most: float
    seconds: float


class Venue(msgspec.Struct, frozen=True):
    """Registry entry of a venue. The defaults make a forgotten field visible to the test.

    `limits` are those that the venue's documentation states, () where it has none; the dialect's bucket keeps them.
    `clock` tells which time the tickers that are polled have: the venue's own, or that of the answer's arrival.
    """

    dialect: Callable[[], Dialect]
    push: Callable[[], PushDialect] | None = None
    trades: Callable[[], TradeDialect] | None = None
    limits: tuple[Limit, ...] | None = None
    clock: Clock | None = None


VENUES: Mapping[str, Venue] = {
    "mock": Venue(Mock, MockPush, MockTrades, limits=(), clock=Clock.EXCHANGE),
    "binance": Venue(Binance, BinancePush, BinanceTrades, limits=(Limit(6000, 60),), clock=Clock.EXCHANGE),
    "coinbase": Venue(
        Coinbase, CoinbasePush, CoinbaseTrades, limits=(Limit(15, 1), Limit(615, 60)), clock=Clock.EXCHANGE
    ),
    "kraken": Venue(Kraken, KrakenPush, KrakenTrades, limits=(Limit(1, 1),), clock=Clock.RECEIPT),
    "okx": Venue(Okx, OkxPush, OkxTrades, limits=(Limit(20, 2),), clock=Clock.EXCHANGE),
    "bybit": Venue(Bybit, BybitPush, BybitTrades, limits=(Limit(600, 5),), clock=Clock.EXCHANGE),
}
DIALECTS: Mapping[str, Callable[[], Dialect]] = {name: venue.dialect for name, venue in VENUES.items()}
PUSHING: Mapping[str, Callable[[], PushDialect]] = {
    name: venue.push for name, venue in VENUES.items() if venue.push is not None
}
TRADING: Mapping[str, Callable[[], TradeDialect]] = {
    name: venue.trades for name, venue in VENUES.items() if venue.trades is not None
}
