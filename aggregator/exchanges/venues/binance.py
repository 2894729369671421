"""Binance spot: `GET /api/v3/ticker/24hr?symbol=BTCUSDT`, or several; texts for numbers, milliseconds for times.

`volume` is in base units (`quoteVolume` is the other one). One unknown symbol refuses a whole call: HTTP 400 with code
-1121. Each call has a weight, 6000 a minute are allowed to an address, and each answer says how much is used.
`closeTime` is the end of the 24 hours of which the statistics are, and moves on with the pair's trades: that of a pair
that nobody trades lies minutes back although the answer is fresh. Such a ticker is `too_old` for a tier whose interval
is shorter, which is right: its price is as old as that.
See developers.binance.com/docs/binance-spot-api-docs/rest-api (limits, market-data-endpoints)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from aggregator.errors import ExchangeError, ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    Day,
    Dialect,
    Limit,
    Market,
    Tickers,
    at_most,
    attempt,
    decode,
    in_path,
    readable,
    whole,
)
from aggregator.models import Asset, Ticker

_A_MINUTE = 6000
_NEARLY_ALL = 0.95 * _A_MINUTE  # used, maybe by others at our address: then the rest of the minute is left to them
_BAD_SYMBOL, _TOO_MANY, _OVERLOADED = -1121, -1003, -1008


class _Body(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume: Decimal
    close_time: int


class _Named(msgspec.Struct):
    symbol: str


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class _Listing(msgspec.Struct):
    symbols: list[_Listed]


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


_one = msgspec.json.Decoder(_Body)
_many = msgspec.json.Decoder(list[msgspec.Raw])
_name = msgspec.json.Decoder(_Named)
_listing = msgspec.json.Decoder(_Listing)
_error = msgspec.json.Decoder(_Error)


class Binance(Dialect):
    """The dialect."""

    public_url = "https://api.binance.com"
    most_symbols = 20  # as many as weigh no more than one does
    budget = Bucket(90, 600, (Limit(_A_MINUTE, 60),))
    listing = "/api/v3/exchangeInfo?permissions=SPOT&showPermissionSets=false"
    listing_cost = 20
    days = "/api/v3/ticker/24hr?type=MINI"
    days_cost = 80
    listed_in = re.compile(rb'"symbols"\s*:\s*\[')

    def name(self, asset: Asset) -> str:
        """BTCUSDT."""
        return asset.symbol.upper()

    def path(self, markets: Sequence[Market]) -> str:
        """Return the 24-hour tickers' path."""
        if len(markets) == 1:
            return f"/api/v3/ticker/24hr?symbol={in_path(markets[0].name)}"
        names = ",".join(f'"{market.name}"' for market in markets)
        return f"/api/v3/ticker/24hr?symbols={in_path(f'[{names}]')}"

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read one ticker, or a list of them; their time is `closeTime`, which lies back for a pair without trades."""
        if len(markets) == 1:
            return {markets[0].symbol: _ticker(exchange, decode(_one, answer.body))}
        found: dict[str, Ticker | ExchangeError] = {}
        for raw in at_most(decode(_many, answer.body), len(markets)):
            symbol = decode(_name, raw).symbol.lower()
            found[symbol] = attempt(partial(_read, exchange, raw))
        return found

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the exchange information."""
        return [
            _market(one.symbol, one.base_asset.lower(), one.quote_asset.lower(), trading=one.status == "TRADING")
            for one in decode(_listing, answer.body).symbols
        ]

    def read_days(self, answer: Answer) -> Iterable[Day]:
        """Read the statistics of all symbols."""
        return [Day(one.symbol, one.volume, one.last_price) for one in readable(_one, decode(_many, answer.body))]

    def cost(self, count: int) -> float:
        """Return the weight; 2 for up to twenty symbols."""
        return 2 if count <= self.most_symbols else 80

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Read `{"code":-1121,"msg":"Invalid symbol."}`."""
        try:
            said = decode(_error, body)
        except Undecodable:
            return None
        text = f"HTTP {status}: {said.code} {said.msg:.200}"
        kinds: dict[int, type[ExchangeError]] = {_TOO_MANY: RateLimited, _OVERLOADED: Maintenance}
        return NotListed(text) if said.code == _BAD_SYMBOL else kinds.get(said.code, ExchangeHttpError)(text)

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return what is left of the minute when its weights are nearly used up; the next one begins anew."""
        used = whole(headers.get("X-MBX-USED-WEIGHT-1M", ""))
        return 60 - now % 60 if used is not None and used >= _NEARLY_ALL else None


def _market(name: str, base: str, quote: str, *, trading: bool) -> Market:
    return Market(base + quote, name, trading, base, quote)


def _read(exchange: str, raw: msgspec.Raw) -> Ticker:
    return _ticker(exchange, decode(_one, raw))


def _ticker(exchange: str, said: _Body) -> Ticker:
    return Ticker(exchange, said.symbol.lower(), said.last_price, said.volume, said.close_time / 1000)
