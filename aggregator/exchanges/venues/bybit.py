"""Bybit spot: `GET /v5/market/tickers?category=spot&symbol=BTCUSDT`. Every answer has a code, 0 for success.

`volume24h` is in base units (`turnover24h` in quote units); the time is that of the answer, in milliseconds. An unknown
symbol is code 10001 with status 200. An address may send 600 calls in 5 seconds; beyond, it gets HTTP 403 for ten
minutes. HTTP 403 has three documented causes: the limit of the address, a GET with a body (we send none), and an
address in the USA, which CloudFront refuses with a page of its own. Only the first one passes.
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
from aggregator.exchanges.decoding import decodable, decode, excerpt, in_path, reported, unsigned
from aggregator.exchanges.dialect import Answer, Bucket, DayStatistics, Dialect, Market, Request, Tickers
from aggregator.models import Asset, Ticker

_KINDS: dict[int, type[ExchangeError]] = {
    10001: NotListed,
    10006: RateLimited,
    10018: RateLimited,
    10016: Maintenance,
    10024: Blocked,
}
_FORBIDDEN, _BAN_SECONDS = 403, 600.0
_TOO_FREQUENT, _OTHER_PLACE = "too frequent", ("cloudfront", "your country")  # texts in the body, in lower case


class _Outcome(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""


class _Ticker(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume24h: Decimal


class _OneTicker(msgspec.Struct):
    list: tuple[_Ticker]


class _OneTickerAnswer(msgspec.Struct):
    result: _OneTicker
    time: int


class _Rows(msgspec.Struct):
    list: list[msgspec.Raw]


class _RowsAnswer(msgspec.Struct):
    result: _Rows


class _Instrument(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str


class _Instruments(msgspec.Struct):
    list: list[_Instrument]


class _InstrumentsAnswer(msgspec.Struct):
    result: _Instruments


_outcome = msgspec.json.Decoder(_Outcome)
_ticker = msgspec.json.Decoder(_Ticker)
_one_ticker = msgspec.json.Decoder(_OneTickerAnswer)
_rows = msgspec.json.Decoder(_RowsAnswer)
_instruments = msgspec.json.Decoder(_InstrumentsAnswer)


class Bybit(Dialect):
    """The REST dialect."""

    public_url = "https://api.bybit.com"
    most_symbols = 1
    rate_limit = Bucket(100, 100)
    listing = Request("/v5/market/instruments-info?category=spot")
    listing_start = re.compile(rb'"list"\s*:\s*\[')
    statistics = Request("/v5/market/tickers?category=spot")

    def name(self, asset: Asset) -> str:
        """Return BTCUSDT."""
        return asset.symbol.upper()

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the ticker."""
        return Request(f"/v5/market/tickers?category=spot&symbol={in_path(markets[0].name)}")

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        _raise_for_code(answer)
        body = decode(_one_ticker, answer.body)
        (found,) = body.result.list
        ticker = Ticker(exchange, found.symbol.lower(), found.last_price, found.volume24h, body.time / 1000)
        return {markets[0].symbol: ticker}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the instruments; the spot instruments are all on one page."""
        _raise_for_code(answer)
        return [
            Market.listed(one.symbol, one.base_coin, one.quote_coin, trading=one.status == "Trading")
            for one in decode(_instruments, answer.body).result.list
        ]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the tickers of all symbols."""
        _raise_for_code(answer)
        rows = decode(_rows, answer.body).result.list
        return [DayStatistics(one.symbol, one.volume24h, one.last_price) for one in decodable(_ticker, rows)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Return the cause of a 403: a ban (for which there is no header), a place that is not served, or another."""
        if status != _FORBIDDEN:
            return None
        text = f"HTTP {status}: {excerpt(body)}"
        page = body.decode(errors="replace").lower()
        kind = _kind(body)
        if _TOO_FREQUENT in page or kind is RateLimited:
            return RateLimited(text, _BAN_SECONDS)
        if any(sign in page for sign in _OTHER_PLACE) or kind is Blocked:
            return Blocked(f"blocked where this runs: {text}")
        return ExchangeHttpError(f"{text} (forbidden, neither for too many calls nor for the place where this runs)")

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:
        """Return the seconds until the limit is reset, when nothing is left of it."""
        reset = unsigned(headers.get("X-Bapi-Limit-Reset-Timestamp", ""))
        if reset is None or unsigned(headers.get("X-Bapi-Limit-Status", "")) != 0:
            return None
        return max(0.0, reset / 1000 - now)


def _kind(body: bytes) -> type[ExchangeError] | None:
    """Return the error that the code of a refusal stands for; None for a body without a code that we know."""
    try:
        return _KINDS.get(decode(_outcome, body).ret_code)
    except Undecodable:
        return None


def _raise_for_code(answer: Answer) -> None:
    outcome = decode(_outcome, answer.body)
    if outcome.ret_code != 0:
        raise reported(_KINDS, outcome.ret_code, f"{outcome.ret_code} {outcome.ret_msg:.200}")
