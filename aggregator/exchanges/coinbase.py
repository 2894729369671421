"""Coinbase Exchange: `GET /products/BTC-USD/ticker`; an unknown product is 404.

`time` is that of the last trade, so a pair that rarely trades is left out by its age: what it says is old. `volume` is
that of 24 hours in base units. The answer does not repeat which product it is about.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.errors import NotListed, Undecodable
from aggregator.exchanges.dialect import Answer, Tickers
from aggregator.models import Asset, Ticker


class _Body(msgspec.Struct):
    price: Decimal
    volume: Decimal
    time: datetime


class Coinbase:
    """The dialect."""

    public_url = "https://api.exchange.coinbase.com"
    most_symbols = 1

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def path(self, assets: Sequence[Asset]) -> str:
        """Return the product's path, which needs to know base from quote."""
        asset = assets[0]
        if not asset.base or not asset.quote:
            raise NotListed("the symbols file does not say which is base and which quote")
        return f"/products/{asset.base.upper()}-{asset.quote.upper()}/ticker"

    def parse(self, exchange: str, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Read the ticker."""
        try:
            said = self._decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error
        if said.time.tzinfo is None:
            raise Undecodable("a time without its zone")
        symbol = assets[0].symbol
        return {symbol: Ticker(exchange, symbol, said.price, said.volume, said.time.timestamp())}
