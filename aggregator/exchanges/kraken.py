"""Kraken: `GET /0/public/Ticker?pair=XBTUSDT,…`; errors come with a 200.

The ticker says no time, so it has that of its receipt: a feed that stands still behind a living web server does not
show. Answers go by Kraken's own key (XXBTZUSD for XBTUSD), which is what its listing calls a pair. One unknown pair
refuses a whole call. One call a second is what an address may be sure of. See docs.kraken.com/api
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from aggregator.errors import ExchangeError, ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import Answer, Budget, Dialect, Market, Tickers, attempt, decode, in_path
from aggregator.models import Asset, Clock, Ticker

_THEIR_NAMES = {"btc": "xbt", "doge": "xdg"}
_OUR_NAMES = {theirs: ours for ours, theirs in _THEIR_NAMES.items()}
_OLD_KEY = re.compile(r"[XZ]([A-Z]{3})[XZ]([A-Z]{3})")
_THROTTLED = re.compile(r"EService: ?Throttled: ?\[?(\d{1,12})")


class _Pair(msgspec.Struct):
    c: tuple[Decimal, Decimal]  # last trade: price, its volume
    v: tuple[Decimal, Decimal]  # base volume: today, last 24 hours


class _Listed(msgspec.Struct):
    wsname: str = ""
    status: str = "online"


class _Tickers(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class _Pairs(msgspec.Struct):
    error: list[str]
    result: dict[str, _Listed] = {}


_tickers = msgspec.json.Decoder(_Tickers)
_pair = msgspec.json.Decoder(_Pair)
_pairs = msgspec.json.Decoder(_Pairs)


class Kraken(Dialect):
    """The dialect."""

    public_url = "https://api.kraken.com"
    most_symbols = 50
    budget = Budget(1, 3)
    listing = "/0/public/AssetPairs"
    listed_in = re.compile(rb'"result"\s*:\s*\{')

    def name(self, asset: Asset) -> str:
        """XBTUSDT; where base and quote are not known, as it is written."""
        parts = (asset.base, asset.quote) if asset.base and asset.quote else (asset.symbol,)
        return "".join(_THEIR_NAMES.get(part, part) for part in parts).upper()

    def path(self, markets: Sequence[Market]) -> str:
        """Return the tickers' path."""
        return "/0/public/Ticker?pair=" + ",".join(in_path(market.name) for market in markets)

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the tickers."""
        said = decode(_tickers, answer.body)
        _raise_for(said.error, answer.received)
        if len(markets) == 1:
            return {markets[0].symbol: _only(exchange, markets[0].symbol, said.result, answer.received)}
        symbols = {_short(market.name): market.symbol for market in markets}
        found: dict[str, Ticker | ExchangeError] = {}
        for key, raw in said.result.items():
            symbol = symbols.get(_short(key))
            if symbol is not None:
                found[symbol] = attempt(partial(_ticker, exchange, symbol, raw, answer.received))
        return found

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the pairs; a `wsname` is XBT/USD."""
        said = decode(_pairs, answer.body)
        _raise_for(said.error, answer.received)
        return [Market(_symbol(one.wsname), key, one.status == "online") for key, one in said.result.items()]


def _only(exchange: str, symbol: str, result: Mapping[str, msgspec.Raw], received: float) -> Ticker:
    """Read the one pair there is, whatever its key: which of its names was asked for is not said."""
    if len(result) != 1:
        raise Undecodable(f"{len(result)} pairs instead of one")
    (raw,) = result.values()
    return _ticker(exchange, symbol, raw, received)


def _ticker(exchange: str, symbol: str, raw: msgspec.Raw, received: float) -> Ticker:
    pair = decode(_pair, raw)
    return Ticker(exchange, symbol, pair.c[0], pair.v[1], received, Clock.RECEIPT)


def _short(key: str) -> str:
    """XBTUSD for XXBTZUSD: the oldest names have a letter before each half."""
    return _OLD_KEY.sub(r"\1\2", key) if _OLD_KEY.fullmatch(key) else key


def _symbol(wsname: str) -> str:
    return "".join(_OUR_NAMES.get(part, part) for part in wsname.lower().split("/"))


def _raise_for(errors: Sequence[str], now: float) -> None:
    for error in errors:
        if error.startswith("EQuery:Unknown asset pair"):
            raise NotListed(error)
        if throttled := _THROTTLED.match(error):
            raise RateLimited(error[:200], max(0.0, int(throttled[1]) - now))
        if "limit exceeded" in error or "Too many requests" in error or "Temporary lockout" in error:
            raise RateLimited(error[:200])
        if error.startswith(("EService:Unavailable", "EService:Busy", "EService:Market in")):
            raise Maintenance(error[:200])
        if error.startswith("E"):
            raise ExchangeHttpError(error[:200])
