"""The mock exchange's dialect: numbers as JSON numbers, time in seconds.

`GET /mock/ticker/btcusdt` for one, `GET /mock/tickers?symbols=btcusdt,ethusdt` for up to a thousand.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import ExchangeError, Undecodable
from aggregator.exchanges.dialect import Answer, Tickers
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


class Mock:
    """See mock_exchange/, which serves it."""

    public_url = ""
    most_symbols = 1000

    def path(self, assets: Sequence[Asset]) -> str:
        """Return the path; symbols are a-z and 0-9 only, so there is nothing to quote."""
        if len(assets) == 1:
            return f"/mock/ticker/{assets[0].symbol}"
        return "/mock/tickers?symbols=" + ",".join(asset.symbol for asset in assets)

    def parse(self, exchange: str, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Read `{"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}`, or many of them.

        Many come as `{"tickers":[…],"unknown":[…]}`.
        """
        try:
            if len(assets) == 1:
                return {assets[0].symbol: _ticker(exchange, _one.decode(answer.body))}
            return _read_batch(exchange, answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error


def _ticker(exchange: str, said: _Body) -> Ticker:
    return Ticker(exchange, said.symbol, said.price, said.volume, said.timestamp)


def _read_batch(exchange: str, body: bytes) -> Tickers:
    try:
        return {said.symbol: _ticker(exchange, said) for said in _batch.decode(body).tickers}
    except msgspec.DecodeError:
        found: dict[str, Ticker | ExchangeError] = {}
        for raw in _apart.decode(body).tickers:
            symbol = _name.decode(raw).symbol
            try:
                found[symbol] = _ticker(exchange, _one.decode(raw))
            except msgspec.DecodeError as error:
                found[symbol] = Undecodable(str(error))
        return found
