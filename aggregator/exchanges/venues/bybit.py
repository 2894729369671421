"""Bybit spot. Numbers are texts, times are milliseconds, `volume24h` is in base units (`turnover24h` in quote units).

REST: `GET /v5/market/tickers?category=spot&symbol=BTCUSDT`. Every answer has a code, 0 for success; the time is that of
the answer. An unknown symbol is code 10001 with status 200. An address may send 600 calls in 5 seconds; beyond, it gets
HTTP 403 for ten minutes. HTTP 403 has three documented causes: the limit of the address, a GET with a body (we send
none), and an address in the USA, which CloudFront refuses with a page of its own. Only the first one passes.
See bybit-exchange.github.io/docs/v5 (rate-limit, error)

WebSocket: the topic `tickers.BTCUSDT`, at most once in 50 ms. Spot tickers are complete, `ts` is their time, and the
cross sequence `cs` orders them. A message may name ten topics, and all topics of a connection at most 21,000
characters. One unknown symbol refuses the whole message, and only the first one is named, so each symbol has a message
of its own. The venue asks for `{"op":"ping"}` every 20 seconds.
See bybit-exchange.github.io/docs/v5 (ws/connect, websocket/public/ticker)
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
from aggregator.exchanges.decoding import (
    Count,
    Milliseconds,
    decodable,
    decode,
    excerpt,
    in_path,
    message,
    reported,
    unsigned,
)
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    DayStatistics,
    Dialect,
    Market,
    News,
    PushDialect,
    Pushed,
    Refused,
    Request,
    SocketDialect,
    Tickers,
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
    time: Milliseconds


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

    def check(self, answer: Answer) -> None:
        """Raise for a code other than 0."""
        _raise_for_code(answer)

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


_CONTROLS = ("subscribe", "unsubscribe", "ping", "pong")
_REFUSED_TOPIC = re.compile(r"(?:Invalid symbol|handler not found).*?\b[a-zA-Z]{1,32}\.([A-Za-z0-9]{1,64})")
_ALREADY = "already subscribed"


class Frame(msgspec.Struct):
    """A message of the venue: the data of a topic, or the answer to a message of ours."""

    topic: str = ""
    ts: Count | None = None
    cs: Count | None = None
    data: msgspec.Raw = msgspec.Raw()
    op: str = ""
    success: bool = True
    ret_msg: str = ""


_frame = msgspec.json.Decoder(Frame)


class BybitSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share. `topic` begins the names of its topics."""

    topic: str
    public_url = "wss://stream.bybit.com"
    path = "/v5/public/spot"
    most_symbols = 500
    most_together = 1
    pause = 0.05
    keep_alive = message({"op": "ping"})

    def spell(self, asset: Asset) -> str:
        """Return BTCUSDT."""
        return asset.symbol.upper()

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a subscribe message."""
        return message({"op": "subscribe", "args": [self.topic + name for name in names]})

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an unsubscribe message."""
        return message({"op": "unsubscribe", "args": [self.topic + name for name in names]})


class BybitPush(BybitSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    topic = "tickers."

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"topic":"tickers.BTCUSDT","ts":…,"type":"snapshot","cs":…,"data":{"symbol":"BTCUSDT",…}}`."""
        found = frame_of(frame)
        if not found.data:
            return refusals(found)
        ticker = decode(_ticker, found.data)
        if found.topic != self.topic + ticker.symbol:
            raise Undecodable(f"a ticker of {ticker.symbol[:32]!r} on the topic {found.topic[:64]!r}")
        if found.ts is None or found.cs is None:
            raise Undecodable("a ticker without time or cross sequence")
        return (Pushed(ticker.symbol, ticker.last_price, ticker.volume24h, found.ts / 1000, found.cs),)


def frame_of(text: str) -> Frame:
    """Return a decoded message. Raises Undecodable."""
    return decode(_frame, text)


def refusals(found: Frame) -> Sequence[Refused]:
    """Return the refusal in the answer to a message of ours, if it has one. Raises Undecodable."""
    if found.op not in _CONTROLS:
        raise Undecodable("neither data nor an answer")
    if found.success or found.op == "unsubscribe" or _ALREADY in found.ret_msg:
        return ()
    refused = _REFUSED_TOPIC.search(found.ret_msg)
    if refused is None:
        raise Undecodable(f"{found.op} failed: {found.ret_msg[:200]}")
    return (Refused(refused[1], found.ret_msg[:200]),)
