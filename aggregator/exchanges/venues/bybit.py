"""Bybit spot: `GET /v5/market/tickers?category=spot&symbol=BTCUSDT`; a code in every answer, 0 when all is well.

`volume24h` is in base units (`turnover24h` in quote units); the time is that of the answer, in milliseconds. An unknown
symbol is code 10001 with a 200. 600 calls in 5 seconds are allowed to an address; beyond, HTTP 403 for ten minutes.
HTTP 403 has three documented causes: the limit of the address, a GET with a body (we send none), and an address in the
USA, which CloudFront refuses with a page of its own. Only the first of them passes.
See bybit-exchange.github.io/docs/v5 (rate-limit, error)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import (
    Blocked,
    ExchangeError,
    ExchangeHttpError,
    Maintenance,
    NotListed,
    RateLimited,
    Undecodable,
)
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
    shown,
    whole,
)
from aggregator.models import Asset, Ticker

_KINDS: dict[int, type[ExchangeError]] = {
    10001: NotListed,
    10006: RateLimited,
    10018: RateLimited,
    10016: Maintenance,
    10024: Blocked,
}
_FORBIDDEN, _BAN_SECONDS = 403, 600.0
_TOO_FREQUENT, _OTHER_PLACE = "too frequent", ("cloudfront", "your country")  # in the body, in lower case


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


class _Rows(msgspec.Struct):
    list: list[msgspec.Raw]


class _All(msgspec.Struct):
    result: _Rows


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
_body = msgspec.json.Decoder(_Body)
_all = msgspec.json.Decoder(_All)
_tickers = msgspec.json.Decoder(_Tickers)
_instruments = msgspec.json.Decoder(_Instruments)


class Bybit(Dialect):
    """The dialect."""

    public_url = "https://api.bybit.com"
    most_symbols = 1
    budget = Bucket(100, 100, (Limit(600, 5),))
    listing = "/v5/market/instruments-info?category=spot"
    days = "/v5/market/tickers?category=spot"
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
        return [_market(one) for one in listed]

    def read_days(self, answer: Answer) -> Iterable[Day]:
        """Read the tickers of all symbols."""
        _raise_for(decode(_said, answer.body))
        rows = decode(_all, answer.body).result.list
        return [Day(one.symbol, one.volume24h, one.last_price) for one in readable(_body, rows)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Tell the causes of a 403 apart: a ban, for which it has no header; a place it does not serve; any other."""
        if status != _FORBIDDEN:
            return None
        text = f"HTTP {status}: {shown(body)}"
        said = body.decode(errors="replace").lower()
        if _TOO_FREQUENT in said or _kind(body) is RateLimited:
            return RateLimited(text, _BAN_SECONDS)
        if any(sign in said for sign in _OTHER_PLACE) or _kind(body) is Blocked:
            return Blocked(f"blocked where this runs: {text}")
        return ExchangeHttpError(f"{text} (forbidden, neither for too many calls nor for the place where this runs)")

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the seconds until the limit is reset, when nothing is left of it."""
        reset = whole(headers.get("X-Bapi-Limit-Reset-Timestamp", ""))
        if reset is None or whole(headers.get("X-Bapi-Limit-Status", "")) != 0:
            return None
        return max(0.0, reset / 1000 - now)


def _market(said: _Instrument) -> Market:
    base, quote = said.base_coin.lower(), said.quote_coin.lower()
    return Market(base + quote, said.symbol, said.status == "Trading", base, quote)


def _kind(body: bytes) -> type[ExchangeError] | None:
    """Return what the code in a refusal means, where it has one."""
    try:
        return _KINDS.get(decode(_said, body).ret_code)
    except Undecodable:
        return None


def _raise_for(said: _Said) -> None:
    if said.ret_code != 0:
        raise _KINDS.get(said.ret_code, ExchangeHttpError)(f"{said.ret_code} {said.ret_msg:.200}")
