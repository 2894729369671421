"""Bybit spot: `GET /v5/market/tickers?category=spot&symbol=BTCUSDT`; a code in every answer, 0 when all is well.

`volume24h` is in base units (`turnover24h` in quote units); the time is that of the answer, in milliseconds. An unknown
symbol is code 10001 with a 200. 600 calls in 5 seconds are allowed to an address; beyond, HTTP 403 for ten minutes.
See bybit-exchange.github.io/docs/v5
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import ExchangeError, ExchangeHttpError, Maintenance, NotListed, RateLimited
from aggregator.exchanges.dialect import Answer, Budget, Dialect, Market, Tickers, decode, in_path, whole
from aggregator.models import Asset, Ticker

_KINDS: dict[int, type[ExchangeError]] = {
    10001: NotListed,
    10006: RateLimited,
    10018: RateLimited,
    10016: Maintenance,
}
_SHUT_OUT, _SHUT_OUT_SECONDS = 403, 600.0


class _Said(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""


class _Body(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume24h: Decimal


class _List(msgspec.Struct):
    list: tuple[_Body]


class _Tickers(msgspec.Struct):
    result: _List
    time: int


class _Instrument(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str


class _Page(msgspec.Struct):
    list: list[_Instrument]


class _Instruments(msgspec.Struct):
    result: _Page


_said = msgspec.json.Decoder(_Said)
_tickers = msgspec.json.Decoder(_Tickers)
_instruments = msgspec.json.Decoder(_Instruments)


class Bybit(Dialect):
    """The dialect."""

    public_url = "https://api.bybit.com"
    most_symbols = 1
    budget = Budget(120, 300)
    listing = "/v5/market/instruments-info?category=spot"
    listed_in = re.compile(rb'"list"\s*:\s*\[')

    def name(self, asset: Asset) -> str:
        """BTCUSDT."""
        return asset.symbol.upper()

    def path(self, markets: Sequence[Market]) -> str:
        """Return the ticker's path."""
        return f"/v5/market/tickers?category=spot&symbol={in_path(markets[0].name)}"

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        _raise_for(decode(_said, answer.body))
        body = decode(_tickers, answer.body)
        (said,) = body.result.list
        ticker = Ticker(exchange, said.symbol.lower(), said.last_price, said.volume24h, body.time / 1000)
        return {markets[0].symbol: ticker}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the instruments, which for spot come in one page."""
        _raise_for(decode(_said, answer.body))
        listed = decode(_instruments, answer.body).result.list
        return [Market((one.base_coin + one.quote_coin).lower(), one.symbol, one.status == "Trading") for one in listed]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:  # noqa: ARG002  # the status says it all
        """Heed being shut out, for which it has no header."""
        return RateLimited(f"HTTP {status}", _SHUT_OUT_SECONDS) if status == _SHUT_OUT else None

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the seconds until the limit is reset, when nothing is left of it."""
        reset = whole(headers.get("X-Bapi-Limit-Reset-Timestamp", ""))
        if reset is None or whole(headers.get("X-Bapi-Limit-Status", "")) != 0:
            return None
        return max(0.0, reset / 1000 - now)


def _raise_for(said: _Said) -> None:
    if said.ret_code != 0:
        raise _KINDS.get(said.ret_code, ExchangeHttpError)(f"{said.ret_code} {said.ret_msg:.200}")
