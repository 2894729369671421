"""Kraken.

REST: `GET /0/public/Ticker?pair=XBTUSDT,…`; errors come with status 200, and one unknown pair refuses the whole call.
The ticker has no time, so it gets the time at which the answer arrived: that the venue's data stands still behind a
working web server cannot be seen. Answers are keyed by Kraken's own key (XXBTZUSD for XBTUSD), which is also the name
of the pair in the listing. An address can rely on one call a second (support.kraken.com, "What are the API rate
limits?"); we send slightly fewer, so that two calls are a second apart even where the network delays the first.
See docs.kraken.com/api

WebSocket (v2): a `ticker` as a snapshot on subscription and at every trade, and a heartbeat where there is nothing
else. Numbers are JSON numbers, `volume` covers 24 hours in base units, `timestamp` is RFC 3339; a ticker without one
(earlier versions had none) gets its time of arrival. Names are the usual ones (BTC/USD, not XBT). There are no sequence
numbers: each ticker is complete, and the time orders them.
See docs.kraken.com/api/docs/websocket-v2/ticker
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import msgspec

from aggregator.errors import ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.decoding import attempt, decode, in_path, joined_or_empty, message, unix_seconds
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
from aggregator.models import Asset, Clock, Ticker

_THEIR_NAMES = {"btc": "xbt", "doge": "xdg"}
_OUR_NAMES = {theirs: ours for ours, theirs in _THEIR_NAMES.items()}
_PREFIXES = "XZ"  # one of them stands before the oldest coins and currencies, which all have three letters
_SHORTEST_PAIR = 6
_UNKNOWN = ("EQuery:Unknown asset pair", "EQuery:Invalid asset pair")
_TOO_OFTEN = ("limit exceeded", "Too many requests", "Temporary lockout")
_CLOSED = ("EService:Unavailable", "EService:Busy", "EService:Market in")
_THROTTLED = re.compile(r"EService: ?Throttled: ?\[?(\d{1,12})")


class _Pair(msgspec.Struct):
    c: tuple[Decimal, Decimal]  # last trade: price, its volume
    v: tuple[Decimal, Decimal]  # base volume: today, last 24 hours


class _Listed(msgspec.Struct):
    wsname: str = ""
    status: str = "online"


class _Errors(msgspec.Struct):
    error: list[str]


class _Tickers(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class _Listing(msgspec.Struct):
    error: list[str]
    result: dict[str, _Listed] = {}


_errors = msgspec.json.Decoder(_Errors)
_tickers = msgspec.json.Decoder(_Tickers)
_pair = msgspec.json.Decoder(_Pair)
_listing = msgspec.json.Decoder(_Listing)


class Kraken(Dialect):
    """The REST dialect."""

    public_url = "https://api.kraken.com"
    most_symbols = 50
    rate_limit = Bucket(0.9, 1)
    listing = Request("/0/public/AssetPairs")
    listing_start = re.compile(rb'"result"\s*:\s*\{')
    statistics = Request("/0/public/Ticker")

    def name(self, asset: Asset) -> str:
        """Return XBTUSDT; where base and quote are not known, the symbol as it is written."""
        parts = (asset.base, asset.quote) if asset.base and asset.quote else (asset.symbol,)
        return "".join(_THEIR_NAMES.get(part, part) for part in parts).upper()

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the tickers."""
        return Request("/0/public/Ticker?pair=" + ",".join(in_path(market.name) for market in markets))

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the tickers. A single one is accepted under any key: a pair has several names."""
        rows = _result(answer)
        if len(markets) == 1:
            if len(rows) != 1:
                raise Undecodable(f"{len(rows)} pairs instead of one")
            (row,) = rows.values()
            return {markets[0].symbol: _ticker(exchange, markets[0].symbol, row, answer.received)}
        return {
            symbol: attempt(partial(_ticker, exchange, symbol, rows[key], answer.received))
            for key, symbol in _symbols_by_key(rows, markets).items()
        }

    def check(self, answer: Answer) -> None:
        """Raise for `{"error":["EGeneral:Too many requests"]}`."""
        _raise_for(decode(_errors, answer.body).error, answer.received)

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the pairs; a `wsname` is XBT/USD."""
        found = decode(_listing, answer.body)
        _raise_for(found.error, answer.received)
        return [_market(key, one) for key, one in found.result.items()]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the tickers of all pairs."""
        rows = _result(answer).items()
        found = ((key, attempt(partial(_ticker, "", key, row, answer.received))) for key, row in rows)
        return [DayStatistics(key, one.volume, one.price) for key, one in found if isinstance(one, Ticker)]


def _result(answer: Answer) -> dict[str, msgspec.Raw]:
    found = decode(_tickers, answer.body)
    _raise_for(found.error, answer.received)
    return found.result


def _ticker(exchange: str, symbol: str, row: msgspec.Raw, received: float) -> Ticker:
    pair = decode(_pair, row)
    return Ticker(exchange, symbol, pair.c[0], pair.v[1], received, Clock.RECEIPT)


def _symbols_by_key(keys: Iterable[str], markets: Sequence[Market]) -> dict[str, str]:
    """Return the symbol that each key of an answer stands for.

    With a listing, a market's name is the key. Without, the name is base + quote as we spell them (USDTUSD, XBTUSDQ),
    while the key may have a prefix before either half (USDTZUSD, XXBTUSDQ). A key that fits several pairs is dropped.
    """
    by_name = {market.name: market.symbol for market in markets}
    found = {key: by_name[key] for key in keys if key in by_name}
    taken = set(found.values())
    spelled = {_respelled(name): symbol for name, symbol in by_name.items() if symbol not in taken}
    for key in keys:
        fitting = {spelled[form] for form in _without_prefixes(key) if form in spelled}
        if key not in found and len(fitting) == 1:
            found[key] = fitting.pop()
    return found


def _without_prefixes(key: str) -> set[str]:
    """Return the names that Kraken's key may stand for: XBTUSD (and XBTZUSD, XXBTUSD) for XXBTZUSD."""
    forms = {key}
    if len(key) > _SHORTEST_PAIR:
        forms |= {form[:-4] + form[-3:] for form in forms if form[-4] in _PREFIXES}
        forms |= {form[1:] for form in forms if form[0] in _PREFIXES}
    return forms


def _respelled(name: str) -> str:
    """Return the name with XBT for BTC: a pair without base and quote is requested as BTC and answered as XBT."""
    for ours, theirs in _THEIR_NAMES.items():
        before, after = ours.upper(), theirs.upper()
        if name.startswith(before):
            name = after + name.removeprefix(before)
        if name.endswith(before):
            name = name.removesuffix(before) + after
    return name


def _market(key: str, listed: _Listed) -> Market:
    base, _, quote = listed.wsname.lower().partition("/")
    base, quote = _OUR_NAMES.get(base, base), _OUR_NAMES.get(quote, quote)
    return Market.listed(key, base, quote, trading=listed.status == "online")


def _raise_for(errors: Sequence[str], now: float) -> None:
    for error in errors:
        if error.startswith(_UNKNOWN):
            raise NotListed(error[:200])
        if throttled := _THROTTLED.match(error):
            raise RateLimited(error[:200], max(0.0, int(throttled[1]) - now))
        if any(text in error for text in _TOO_OFTEN):
            raise RateLimited(error[:200])
        if error.startswith(_CLOSED):
            raise Maintenance(error[:200])
        if error.startswith("E"):
            raise ExchangeHttpError(error[:200])


_MICRO = 1_000_000
_NO_NEWS = ("heartbeat", "status")
_ALREADY = "already subscribed"  # in lower case


class _PushedTicker(msgspec.Struct):
    symbol: str
    last: Decimal
    volume: Decimal
    timestamp: datetime | None = None


class Frame(msgspec.Struct):
    """A message of the venue: data of a channel, or the answer to a message of ours."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""


_frame = msgspec.json.Decoder(Frame)
_pushed_tickers = msgspec.json.Decoder(list[_PushedTicker])


class KrakenSocket(SocketDialect):
    """The part of the WebSocket dialect that tickers and trades share, which differ in the channel."""

    channel: str
    public_url = "wss://ws.kraken.com"
    path = "/v2"
    most_symbols = 200
    most_together = 50
    pause = 0.2

    def spell(self, asset: Asset) -> str:
        """Return BTC/USD."""
        return joined_or_empty(asset, "/")

    def subscribe(self, names: Sequence[str]) -> str:
        """Return a subscribe message."""
        return message({"method": "subscribe", "params": {"channel": self.channel, "symbol": names}})

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return an unsubscribe message."""
        return message({"method": "unsubscribe", "params": {"channel": self.channel, "symbol": names}})


class KrakenPush(KrakenSocket, PushDialect):
    """The WebSocket dialect of tickers."""

    channel = "ticker"

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":…,"volume":…,…}]}`."""
        found = frame_of(frame)
        if found.channel == self.channel:
            return [_pushed(one) for one in decode(_pushed_tickers, found.data)]
        return refusals(found)


def frame_of(text: str) -> Frame:
    """Return a decoded message. Raises Undecodable."""
    return decode(_frame, text)


def refusals(found: Frame) -> Sequence[Refused]:
    """Return the refusal in a message without data, if it is one. Raises Undecodable for an unknown message."""
    is_as_wanted = found.success or found.method == "unsubscribe" or _ALREADY in found.error.lower()
    if found.method and not is_as_wanted:
        return (Refused(found.symbol, found.error[:200]),)
    if found.method or found.channel in _NO_NEWS:
        return ()
    raise Undecodable(f"a message of channel {found.channel[:32]!r}")


def _pushed(ticker: _PushedTicker) -> Pushed:
    if ticker.timestamp is None:
        return Pushed(ticker.symbol, ticker.last, ticker.volume, None, 0)
    seconds = unix_seconds(ticker.timestamp)
    return Pushed(ticker.symbol, ticker.last, ticker.volume, seconds, round(seconds * _MICRO))
