"""OKX spot. Numbers and times (milliseconds) are texts, `vol24h` is in base units (`volCcy24h` in quote units).

REST: `GET /api/v5/market/ticker?instId=BTC-USDT`. Every answer has a code, 0 for success. An unknown instrument is code
51001 with status 200. The only call for several instruments returns all of them, and most would be thrown away, so each
call asks for one. An address may send 20 calls in 2 seconds. See www.okx.com/docs-v5/en

WebSocket: the channel `tickers`, at most once in 100 ms for each instrument, and only when the instrument is traded or
its best bid or ask changes. Each ticker is complete, and its time `ts` orders the tickers. An unknown instrument is the
error 60018, whose text names the instrument. The documentation does not say whether the other instruments of the same
message are then subscribed to; where they are not, the feed asks for them again after half a minute without news. A
connection may send 480 such messages an hour. The venue closes a connection on which nothing is sent for 30 seconds:
the text `ping` is answered with `pong`. A minute before it shuts a server down, it sends the notice 64008.
See www.okx.com/docs-v5/en (overview-websocket, order-book-trading-market-data-ws-tickers-channel, error-code-websocket)
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import ExchangeError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.decoding import (
    MillisecondsText,
    decodable,
    decode,
    in_path,
    joined,
    joined_or_empty,
    message,
    reported,
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
    Shutdown,
    SocketDialect,
    Tickers,
)
from aggregator.models import Asset, Ticker

_KINDS: dict[str, type[ExchangeError]] = {
    "51001": NotListed,
    "50011": RateLimited,
    "50061": RateLimited,
    "50001": Maintenance,
    "50013": Maintenance,
}


class _Outcome(msgspec.Struct):
    code: str
    msg: str = ""


class _Ticker(msgspec.Struct, rename="camel"):
    inst_id: str
    last: Decimal
    vol24h: Decimal
    ts: MillisecondsText


class _OneTicker(msgspec.Struct):
    data: tuple[_Ticker]


class _Rows(msgspec.Struct):
    data: list[msgspec.Raw]


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    state: str


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


_outcome = msgspec.json.Decoder(_Outcome)
_ticker = msgspec.json.Decoder(_Ticker)
_one_ticker = msgspec.json.Decoder(_OneTicker)
_rows = msgspec.json.Decoder(_Rows)
_instruments = msgspec.json.Decoder(_Instruments)


class Okx(Dialect):
    """The REST dialect."""

    public_url = "https://www.okx.com"
    most_symbols = 1
    rate_limit = Bucket(8, 4)
    listing = Request("/api/v5/public/instruments?instType=SPOT")
    listing_start = re.compile(rb'"data"\s*:\s*\[')
    statistics = Request("/api/v5/market/tickers?instType=SPOT")

    def name(self, asset: Asset) -> str:
        """Return BTC-USDT."""
        return joined(asset, "-")

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the ticker."""
        return Request(f"/api/v5/market/ticker?instId={in_path(markets[0].name)}")

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        _raise_for_code(answer)
        (found,) = decode(_one_ticker, answer.body).data
        symbol = found.inst_id.replace("-", "").lower()
        return {markets[0].symbol: Ticker(exchange, symbol, found.last, found.vol24h, int(found.ts) / 1000)}

    def check(self, answer: Answer) -> None:
        """Raise for a code other than 0."""
        _raise_for_code(answer)

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the instruments."""
        _raise_for_code(answer)
        return [_market(one) for one in decode(_instruments, answer.body).data]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the tickers of all instruments."""
        _raise_for_code(answer)
        rows = decode(_rows, answer.body).data
        return [DayStatistics(one.inst_id, one.vol24h, one.last) for one in decodable(_ticker, rows)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Read `{"code":"50011","data":[],"msg":"Too Many Requests"}`."""
        try:
            outcome = decode(_outcome, body)
        except Undecodable:
            return None
        return reported(_KINDS, outcome.code, f"HTTP {status}: {outcome.code} {outcome.msg:.200}")


def _market(instrument: _Instrument) -> Market:
    base, _, quote = instrument.inst_id.partition("-")
    return Market.listed(instrument.inst_id, base, quote, trading=instrument.state == "live")


def _raise_for_code(answer: Answer) -> None:
    outcome = decode(_outcome, answer.body)
    if outcome.code != "0":
        raise reported(_KINDS, outcome.code, f"{outcome.code:.20} {outcome.msg:.200}")


_PONG = "pong"
_RECEIPTS = ("subscribe", "unsubscribe", "channel-conn-count")
_SHUTDOWN_CODE, _UNKNOWN_CODE, _TOO_OFTEN_CODE = "64008", "60018", "60014"
_UNKNOWN_INSTRUMENT = re.compile(r"channel:[\w-]{1,32},instId:([^\s,]{1,64}) doesn't exist")


class _Subscription(msgspec.Struct, frozen=True, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class Frame(msgspec.Struct):
    """A message of the venue: the data of a subscription, or an event."""

    arg: _Subscription = _Subscription()
    data: list[msgspec.Raw] = []
    event: str = ""
    code: str = ""
    msg: str = ""


_frame = msgspec.json.Decoder(Frame)


class OkxSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share, which differ in path and channel."""

    channel: str
    public_url = "wss://ws.okx.com:8443"
    most_symbols = 200
    most_together = 50
    pause = 0.2
    keep_alive = "ping"

    def spell(self, asset: Asset) -> str:
        """Return BTC-USDT."""
        return joined_or_empty(asset, "-")

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a subscribe message."""
        return self._operation("subscribe", names)

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an unsubscribe message."""
        return self._operation("unsubscribe", names)

    def frame(self, text: str) -> Frame | None:
        """Return a decoded message; None for a pong. Raises Undecodable, also for the data of another channel."""
        if text == _PONG:
            return None
        found = decode(_frame, text)
        if not found.event and (not found.data or found.arg.channel != self.channel):
            raise Undecodable(f"neither data nor an event, but channel {found.arg.channel[:32]!r}")
        return found

    def _operation(self, name: str, instruments: Sequence[str]) -> str:
        return message({"op": name, "args": [{"channel": self.channel, "instId": one} for one in instruments]})


class OkxPush(OkxSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    path = "/ws/v5/public"
    channel = "tickers"

    def read(self, frame: str) -> Sequence[News | Shutdown]:
        """Read `{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":…,"last":…,…}]}`, or an event."""
        found = self.frame(frame)
        if found is None:
            return ()
        if found.event:
            return event_news(found)
        return [_pushed(decode(_ticker, one), found.arg.inst_id) for one in found.data]


def _pushed(ticker: _Ticker, name: str) -> Pushed:
    if ticker.inst_id != name:
        raise Undecodable(f"a ticker of {ticker.inst_id[:32]!r} on the channel of another instrument")
    time = int(ticker.ts)
    return Pushed(name, ticker.last, ticker.vol24h, time / 1000, time)


def event_news(found: Frame) -> Sequence[Refused | Shutdown]:
    """Return the refusal or the shutdown that an event reports; none for a receipt. Raises Undecodable."""
    if found.event in _RECEIPTS:
        return ()
    if found.event == "notice":
        return (Shutdown(),) if found.code == _SHUTDOWN_CODE else ()
    if found.event == "error" and found.code == _TOO_OFTEN_CODE:
        return (Refused("", found.msg[:200]),)
    named = _UNKNOWN_INSTRUMENT.search(found.msg)
    name = named[1] if named is not None else found.arg.inst_id
    if found.event != "error" or found.code != _UNKNOWN_CODE or not name:
        raise Undecodable(f"{found.event[:32]} {found.code[:20]} {found.msg[:200]}")
    return (Refused(name, found.msg[:200]),)
