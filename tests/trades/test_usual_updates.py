"""The shortcut for protobuf updates: it makes the trades that the rules for all records make, or none."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, Trade
from aggregator.prices.tiers import assign
from aggregator.trades.ingest import INGEST
from aggregator.trades.market_pb2 import MarketUpdate
from aggregator.trades.protobuf import seconds_of
from aggregator.trades.usual_updates import usual_trades
from aggregator.trades.validation import InvalidTrade, checked_trade, hashed_id
from tests.parts.examples import CADENCE, NOW

CATALOG = assign([("btcusdt", "", "")], 1, 0, CADENCE)
NS = 1_759_999_940_123_457_000

PRICES = st.floats() | st.floats(1e-5, 1e17) | st.decimals(0, 100_000, places=2).map(float)
VOLUMES = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 1000)
TIMES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(10**18, NS)
    | st.integers(10**15, NS // 1000).map(lambda us: us * 1000 + 500)
    | st.integers(int(NOW * 1e9), int((NOW + 10) * 1e9))
)
UPDATES = st.builds(
    MarketUpdate, ticker=st.sampled_from(("BtcUsdt", "btcusdt", "other")), price=PRICES, volume=VOLUMES,
    timestamp_ns=TIMES,
)  # fmt: skip


def usual(update: MarketUpdate) -> Trade | None:
    """Return what the shortcut makes of an update."""
    (found,) = usual_trades([update], CATALOG.find, INGEST, NOW + FUTURE_TOLERANCE)
    return found


def by_the_rules(update: MarketUpdate) -> Trade | None:
    """Return what the rules for all records make of an update; None if they refuse it."""
    symbol, timestamp = update.ticker.lower(), seconds_of(update.timestamp_ns)
    price, volume = Decimal(repr(update.price)), Decimal(update.volume)
    identity = hashed_id(symbol, price, volume, timestamp, INGEST, None, None)
    try:
        return checked_trade(CATALOG.find, symbol, price, volume, timestamp, INGEST, identity, None, None, NOW)
    except InvalidTrade:
        return None


@given(UPDATES)
@example(MarketUpdate(ticker="btcusdt", price=1e16, volume=1, timestamp_ns=NS))
@example(MarketUpdate(ticker="btcusdt", price=9.99e-5, volume=1, timestamp_ns=NS))
def test_the_shortcut_keeps_the_rules(update: MarketUpdate) -> None:
    """A trade of the shortcut is that of the rules, to the digits of its numbers and its id."""
    found = usual(update)
    if found is not None:
        assert found == by_the_rules(update)
        assert str(found.price) == str(Decimal(repr(update.price)))


@pytest.mark.parametrize("price", [0.0001, 1.0, 77_896.49245, 9_999_999_999_999_998.0])
@pytest.mark.parametrize("ns", [NS, NS + 500, NS + 499, NS - 123_456_789, 1_759_999_940_000_000_000])
def test_usual_updates_are_taken(price: float, ns: int) -> None:
    """Updates of usual prices and of any time until now take the shortcut, volume 0 included."""
    for volume in (0, 1, 2**63 - 1):
        update = MarketUpdate(ticker="BTCUSDT", price=price, volume=volume, timestamp_ns=ns)
        found = usual(update)
        assert found is not None
        assert found == by_the_rules(update)
