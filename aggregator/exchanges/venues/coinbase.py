"""Coinbase Exchange: `GET /products/BTC-USD/ticker`; an unknown product is 404.

`time` is that of the last trade, so a pair that rarely trades is left out by its age: what it says is old. `volume` is
that of 24 hours in base units. The answer does not repeat which product it is about, and there is none for several.
An address has a bucket of 15 calls that is refilled at 10 a second; our own, of 5, sends no more than 15 in any second.
See docs.cdp.coinbase.com/exchange/rest-api (rate-limits)
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.errors import ExchangeError, Maintenance, NotListed, Undecodable
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    Day,
    Dialect,
    Limit,
    Market,
    Tickers,
    decode,
    in_path,
    readable,
)
from aggregator.models import Asset, Ticker

_UNAVAILABLE = 503


class _Body(msgspec.Struct):
    price: Decimal
    volume: Decimal
    time: datetime


class _Product(msgspec.Struct):
    id: str
    status: str
    trading_disabled: bool = False


class _Volume(msgspec.Struct):
    id: str
    spot_volume_24hour: Decimal


_volume = msgspec.json.Decoder(_Volume)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(_Body)
_products = msgspec.json.Decoder(list[_Product])


class Coinbase(Dialect):
    """The dialect."""

    public_url = "https://api.exchange.coinbase.com"
    most_symbols = 1
    budget = Bucket(10, 5, (Limit(15, 1), Limit(615, 60)))
    listing = "/products"
    days = "/products/volume-summary"
    listed_in = re.compile(rb"\A\s*\[")

    def name(self, asset: Asset) -> str:
        """BTC-USD, which needs to know base from quote."""
        if not asset.base or not asset.quote:
            raise NotListed("the symbols file does not say which is base and which quote")
        return f"{asset.base}-{asset.quote}".upper()

    def path(self, markets: Sequence[Market]) -> str:
        """Return the product's path."""
        return f"/products/{in_path(markets[0].name)}/ticker"

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        said = decode(_one, answer.body)
        if said.time.tzinfo is None:
            raise Undecodable("a time without its zone")
        symbol = markets[0].symbol
        return {symbol: Ticker(exchange, symbol, said.price, said.volume, said.time.timestamp())}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the products."""
        return [_market(one) for one in decode(_products, answer.body)]

    def read_days(self, answer: Answer) -> Iterable[Day]:
        """Read the volumes of all products; their prices are not told."""
        return [Day(one.id, one.spot_volume_24hour) for one in readable(_volume, decode(_rows, answer.body))]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:  # noqa: ARG002  # the status says it all
        """Tell maintenance from a fault; the rest is in the status."""
        return Maintenance(f"HTTP {status}") if status == _UNAVAILABLE else None


def _market(said: _Product) -> Market:
    base, _, quote = said.id.lower().partition("-")
    return Market(base + quote, said.id, said.status == "online" and not said.trading_disabled, base, quote)
