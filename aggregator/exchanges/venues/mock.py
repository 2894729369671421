"""The mock exchange's dialect: numbers as JSON numbers, time in seconds.

`GET /mock/ticker/btcusdt` for one, `GET /mock/tickers?symbols=btcusdt,ethusdt` for up to a thousand.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import msgspec

from aggregator.exchanges.dialect import Answer, Dialect, Market, Tickers, at_most, attempt, decode
from aggregator.models import Asset, Ticker


class _Body(msgspec.Struct):
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float


class _Batch(msgspec.Struct):
    tickers: list[_Body]


class _Apart(msgspec.Struct):
    """A batch of which one body is not as it should be: each is read by itself."""

    tickers: list[msgspec.Raw]


class _Named(msgspec.Struct):
    symbol: str


_one = msgspec.json.Decoder(_Body)
_batch = msgspec.json.Decoder(_Batch)
_apart = msgspec.json.Decoder(_Apart)
_name = msgspec.json.Decoder(_Named)


class Mock(Dialect):
    """See mock_exchange/, which serves it."""

    public_url = ""
    most_symbols = 1000

    def name(self, asset: Asset) -> str:
        """As we spell it."""
        return asset.symbol

    def path(self, markets: Sequence[Market]) -> str:
        """Return the path; symbols are a-z and 0-9 only, so there is nothing to quote."""
        if len(markets) == 1:
            return f"/mock/ticker/{markets[0].symbol}"
        return "/mock/tickers?symbols=" + ",".join(market.symbol for market in markets)

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read `{"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}`, or many of them.

        Many come as `{"tickers":[…],"unknown":[…]}`.
        """
        if len(markets) == 1:
            return {markets[0].symbol: _ticker(exchange, decode(_one, answer.body))}
        return _read_batch(exchange, answer.body, len(markets))


def _ticker(exchange: str, said: _Body) -> Ticker:
    return Ticker(exchange, said.symbol, said.price, said.volume, said.timestamp)


def _read(exchange: str, raw: msgspec.Raw) -> Ticker:
    return _ticker(exchange, decode(_one, raw))


def _read_batch(exchange: str, body: bytes, asked: int) -> Tickers:
    try:
        return {said.symbol: _ticker(exchange, said) for said in at_most(_batch.decode(body).tickers, asked)}
    except (msgspec.DecodeError, UnicodeDecodeError):
        raws = at_most(decode(_apart, body).tickers, asked)
        return {decode(_name, raw).symbol: attempt(partial(_read, exchange, raw)) for raw in raws}
