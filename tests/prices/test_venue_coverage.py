"""How many exchanges trade an asset."""

from aggregator.models import Asset, Tier
from aggregator.prices.freshness import VenueCoverage
from tests.parts.scripted import ScriptedExchange

ASSETS = [Asset(symbol, "", "", Tier.HOT, rank) for rank, symbol in enumerate(("btcusdt", "ethusdt", "newcoin"), 1)]


def lists(*symbols: str) -> ScriptedExchange:
    """Return an exchange whose listing has these symbols."""
    exchange = ScriptedExchange("x")
    exchange.listing = set(symbols)
    return exchange


def test_an_exchange_without_a_listing_counts_as_trading_an_asset() -> None:
    """An exchange without a listing, or with one that could not be read, excludes no asset."""
    coverage = VenueCoverage()
    assert (coverage.venues, coverage.too_few, coverage.listed) == ({}, frozenset(), {})
    coverage.count([ScriptedExchange("silent"), lists("btcusdt"), lists("btcusdt", "ethusdt")], ASSETS, 2)
    assert coverage.venues == {"btcusdt": 3, "ethusdt": 2, "newcoin": 1}
    assert coverage.too_few == {"newcoin"}
    assert coverage.listed == {"silent": None, "x": 2}
    coverage.count([ScriptedExchange("silent")], ASSETS, 1)
    assert coverage.too_few == frozenset()
    assert coverage.counts == 2
