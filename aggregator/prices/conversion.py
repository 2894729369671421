"""Converts a ticker from one quote to another by the rate between the two. Pure.

    btcusd = btcusdt x usdtusd

The rate is a price of our own that is fresh and was not itself made of converted tickers. There is one hop only: a
converted ticker is never converted again, and a pair that serves as a rate is never converted. So there are no cycles,
and a price never depends on itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, Conversion, LeftOut, Price, Reason, Ticker
from aggregator.prices.pricing import is_quantity

_PRODUCT = Context(prec=38, rounding=ROUND_HALF_EVEN)  # as many digits as pricing accepts


class CannotConvert(ValueError):
    """The configured rates contradict each other or the symbols file; the message names them."""


class Source(msgspec.Struct, frozen=True):
    """The pair to ask for in place of an asset, and the symbol of the rate that converts it."""

    asset: Asset
    rate: str


class Conversions:
    """The configured conversions: a rate such as usdtusd converts pairs quoted in usdt to pairs quoted in usd."""

    def __init__(self, rates: Sequence[Asset], assets: Iterable[Asset]) -> None:
        _check(rates)
        self.rates = frozenset(rate.symbol for rate in rates)
        self._rates = rates
        self._listed: Mapping[tuple[str, str], Asset] = {(asset.base, asset.quote): asset for asset in assets}
        self._targets: dict[str, list[str]] = {}
        for asset in self._listed.values():
            for source in self.sources(asset):
                self._targets.setdefault(source.asset.symbol, []).append(asset.symbol)

    def sources(self, asset: Asset) -> list[Source]:
        """Return the pairs that can be converted to `asset`, in the order of the rates; none if `asset` is a rate."""
        if not asset.base or asset.symbol in self.rates:
            return []
        return [
            Source(self._pair(asset, rate.base), rate.symbol)
            for rate in self._rates
            if rate.quote == asset.quote and rate.base != asset.base
        ]

    def targets(self, symbol: str) -> Sequence[str]:
        """Return the symbols of the listed assets that the pair `symbol` can be converted to."""
        return self._targets.get(symbol, ())

    def _pair(self, asset: Asset, quote: str) -> Asset:
        """Return the listed pair of the asset's base and `quote`, or an unlisted one like it."""
        listed = self._listed.get((asset.base, quote))
        return listed or Asset(asset.base + quote, asset.base, quote, asset.tier, asset.rank)


def _check(rates: Sequence[Asset]) -> None:
    """Raise CannotConvert unless every rate has a base and a quote, and no quote of a rate is the base of another."""
    for rate in rates:
        if not rate.base or not rate.quote:
            raise CannotConvert(f"{rate.symbol}: the symbols file does not say which is base and which quote")
    wrong = {rate.base for rate in rates} & {rate.quote for rate in rates}
    if wrong:
        raise CannotConvert(f"{', '.join(sorted(wrong))} would be converted both from and to: one hop and no circles")


def convert(
    asset: Asset, source: Asset, ticker: Ticker, rate: Price | None, oldest_rate: float, now: float
) -> Ticker | LeftOut:
    """Return the ticker of `source` as a ticker of `asset`, or why it cannot be converted.

    The rate must be at most `oldest_rate` seconds old. The price is the product, rounded beyond 38 digits. The volume,
    in base units, is unchanged. The time is the older of the two, so that the result looks no fresher than either; a
    time too far ahead is kept, so that pricing rejects it.
    """
    if ticker.symbol != source.symbol:
        return LeftOut(ticker.exchange, Reason.WRONG_SYMBOL, f"answered for {ticker.symbol[:32]!r}")
    if not is_quantity(ticker.price):
        return LeftOut(ticker.exchange, Reason.BAD_PRICE, f"{ticker.price!s:.32}")
    if rate is None:
        return LeftOut(ticker.exchange, Reason.NO_RATE, f"{source.symbol} has no rate to {asset.quote} now")
    if any(one.converted is not msgspec.UNSET for one in rate.sources):
        return LeftOut(ticker.exchange, Reason.NO_RATE, f"{rate.asset} is converted itself")
    age = now - rate.timestamp
    if not age <= oldest_rate:
        return LeftOut(ticker.exchange, Reason.NO_RATE, f"{rate.asset} is stale: {age:.3f} s old")
    is_ahead = ticker.timestamp > now + FUTURE_TOLERANCE
    return msgspec.structs.replace(
        ticker,
        symbol=asset.symbol,
        price=_PRODUCT.multiply(ticker.price, rate.price),
        timestamp=ticker.timestamp if is_ahead else min(ticker.timestamp, rate.timestamp),
        converted=Conversion(source.symbol, ticker.price, rate.asset, rate.price, rate.timestamp),
    )
