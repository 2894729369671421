"""An exchange that answers with a converted pair where it does not list the one asked for."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import pytest

from aggregator.exchanges.wrapped import ConvertingExchange
from aggregator.models import Asset, LeftOut, Price, Reason, Ticker, Tier
from aggregator.prices.conversion import Conversions
from aggregator.prices.tiers import Catalog
from tests.parts.examples import CADENCE, NOW, ticker
from tests.parts.scripted import ScriptedExchange

ASSETS = {
    symbol: Asset(symbol, base, quote, Tier.HOT, rank)
    for rank, (symbol, base, quote) in enumerate(
        [("btcusd", "btc", "usd"), ("ethusd", "eth", "usd"), ("btcusdt", "btc", "usdt"), ("usdtusd", "usdt", "usd")], 1
    )
}
CATALOG = Catalog(ASSETS, CADENCE)
BTCUSD, ETHUSD, BTCUSDT, USDTUSD = ASSETS.values()
RATE = Price("usdtusd", Decimal("0.5"), NOW - 1, Tier.HOT, Decimal(0), NOW, ())


class Venue(ScriptedExchange):
    """Lists these, at these prices."""

    def __init__(self, **prices: str) -> None:
        super().__init__("binance", batch=10)
        self.prices: Mapping[str, str] = prices
        self.script = self._said

    def _said(self, asset: Asset) -> Ticker | LeftOut:
        price = self.prices.get(asset.symbol)
        if price is None:
            return LeftOut(self.name, Reason.NOT_LISTED, "not in its listing")
        return ticker(self.name, price, symbol=asset.symbol)

    def trades(self, symbol: str) -> bool | None:
        """Whether it lists it."""
        return symbol in self.prices


def converting(
    venue: ScriptedExchange, rate: Callable[[str], Price | None] = lambda _: RATE, rates: tuple[Asset, ...] = (USDTUSD,)
) -> ConvertingExchange:
    """Return the converting exchange around the venue, at NOW."""
    return ConvertingExchange(venue, Conversions(rates, ASSETS.values()), CATALOG, rate, lambda: NOW)


async def test_a_pair_that_is_not_listed_is_converted() -> None:
    """One more call fetches the pair to convert; the ticker has the symbol asked for and shows the conversion."""
    venue = Venue(btcusdt="100")
    answers = await converting(venue).fetch([BTCUSD])
    found = answers["btcusd"]
    assert isinstance(found, Ticker)
    assert (found.symbol, found.price) == ("btcusd", Decimal(50))
    assert found.converted is not None
    assert venue.asked == ["btcusd", "btcusdt"]


async def test_a_listed_pair_is_not_converted() -> None:
    """A pair that the exchange lists is not converted."""
    venue = Venue(btcusd="51", btcusdt="100")
    found = (await converting(venue).fetch([BTCUSD]))["btcusd"]
    assert isinstance(found, Ticker)
    assert (found.price, found.converted) == (Decimal(51), None)
    assert venue.asked == ["btcusd"]


async def test_a_pair_asked_for_anyway_is_fetched_once() -> None:
    """Both pairs in one fetch take one call; the one in usdt stays as it is."""
    venue = Venue(btcusdt="100")
    answers = await converting(venue).fetch([BTCUSD, BTCUSDT])
    assert [one.price for one in answers.values() if isinstance(one, Ticker)] == [Decimal(50), Decimal(100)]
    assert venue.asked == ["btcusd", "btcusdt"]


async def test_a_pair_that_two_assets_need_is_asked_for_once() -> None:
    """Binance refuses a call that names a symbol twice."""
    btceur, usdteur = Asset("btceur", "btc", "eur", Tier.HOT, 8), Asset("usdteur", "usdt", "eur", Tier.HOT, 9)
    venue = Venue(btcusdt="100")
    answers = await converting(venue, rates=(USDTUSD, usdteur)).fetch([BTCUSD, btceur])
    assert venue.asked == ["btcusd", "btceur", "btcusdt"]
    assert isinstance(answers["btcusd"], Ticker)


async def test_a_rate_is_never_converted() -> None:
    """Neither the rate itself nor a pair that is not listed at all."""
    eurusd = Asset("eurusd", "eur", "usd", Tier.HOT, 9)
    venue = Venue(usdteur="1", btcusdt="1")
    answers = await converting(venue, rates=(USDTUSD, eurusd)).fetch([USDTUSD, ETHUSD])
    assert [one.reason for one in answers.values() if isinstance(one, LeftOut)] == [Reason.NOT_LISTED] * 2
    assert "usdteur" not in venue.asked


async def test_rates_are_tried_in_order() -> None:
    """Rates are tried in the order of the setting."""
    eurusd = Asset("eurusd", "eur", "usd", Tier.HOT, 9)
    for prices, symbol in (({"btcusdt": "1", "btceur": "1"}, "btceur"), ({"btcusdt": "1"}, "btcusdt")):
        found = (await converting(Venue(**prices), rates=(eurusd, USDTUSD)).fetch([BTCUSD]))["btcusd"]
        if symbol == "btcusdt":
            assert isinstance(found, Ticker)
        else:  # the catalog does not list eurusd, so there is no telling how old its rate may be
            assert isinstance(found, LeftOut)
            assert found.reason is Reason.NO_RATE


@pytest.mark.parametrize("rate", [None, Price("usdtusd", Decimal(1), NOW - 7.6, Tier.HOT, Decimal(0), NOW, ())])
async def test_without_a_fresh_rate_there_is_no_ticker(rate: Price | None) -> None:
    """The reason is the missing rate, not an unlisted pair: a rate may come soon."""
    found = (await converting(Venue(btcusdt="100"), lambda _: rate).fetch([BTCUSD]))["btcusd"]
    assert isinstance(found, LeftOut)
    assert found.reason is Reason.NO_RATE


async def test_a_failure_of_the_converted_pair_is_the_reason() -> None:
    """A timeout of the call for btcusdt is the reason for btcusd."""
    venue = Venue()
    venue.script = lambda asset: LeftOut("binance", Reason.NOT_LISTED if asset is BTCUSD else Reason.TIMEOUT, "why")
    found = (await converting(venue).fetch([BTCUSD]))["btcusd"]
    assert found == LeftOut("binance", Reason.TIMEOUT, "btcusdt: why")


def test_a_convertible_pair_counts_as_traded() -> None:
    """A convertible pair counts as traded, so that /assets counts the venue."""
    exchange = converting(Venue(btcusdt="100"))
    assert [exchange.trades(symbol) for symbol in (*ASSETS, "nosuch")] == [True, False, True, False, False]
