"""Kraken: `GET /0/public/Ticker?pair=XBTUSDT,…`; errors come with a 200.

The ticker says no time, so it has that of its receipt: a feed that stands still behind a living web server does not
show. Answers go by Kraken's own key (XXBTZUSD for XBTUSD), which is what its listing calls a pair. One unknown pair
refuses a whole call. One call a second is what an address may be sure of (support.kraken.com, "What are the API rate
limits?"); a little fewer, so that two that the network brings closer together are still a second apart.
See docs.kraken.com/api
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from aggregator.errors import ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    Day,
    Dialect,
    Limit,
    Market,
    Tickers,
    attempt,
    decode,
    in_path,
)
from aggregator.models import Asset, Clock, Ticker

_THEIR_NAMES = {"btc": "xbt", "doge": "xdg"}
_OUR_NAMES = {theirs: ours for ours, theirs in _THEIR_NAMES.items()}
_PREFIXES = "XZ"  # the oldest coins and currencies, all of three letters, have one of them before their name
_SHORTEST_PAIR = 6
_UNKNOWN = ("EQuery:Unknown asset pair", "EQuery:Invalid asset pair")
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
    budget = Bucket(0.9, 1, (Limit(1, 1),))
    listing = "/0/public/AssetPairs"
    days = "/0/public/Ticker"
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
        return {
            symbol: attempt(partial(_ticker, exchange, symbol, said.result[key], answer.received))
            for key, symbol in _asked_for(said.result, markets).items()
        }

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the pairs; a `wsname` is XBT/USD."""
        said = decode(_pairs, answer.body)
        _raise_for(said.error, answer.received)
        return [_market(key, one) for key, one in said.result.items()]

    def read_days(self, answer: Answer) -> Iterable[Day]:
        """Read the tickers of all pairs."""
        said = decode(_tickers, answer.body)
        _raise_for(said.error, answer.received)
        found = ((key, attempt(partial(_ticker, "", key, raw, answer.received))) for key, raw in said.result.items())
        return [Day(key, one.volume, one.price) for key, one in found if isinstance(one, Ticker)]


def _only(exchange: str, symbol: str, result: Mapping[str, msgspec.Raw], received: float) -> Ticker:
    """Read the one pair there is, whatever its key: which of its names was asked for is not said."""
    if len(result) != 1:
        raise Undecodable(f"{len(result)} pairs instead of one")
    (raw,) = result.values()
    return _ticker(exchange, symbol, raw, received)


def _ticker(exchange: str, symbol: str, raw: msgspec.Raw, received: float) -> Ticker:
    pair = decode(_pair, raw)
    return Ticker(exchange, symbol, pair.c[0], pair.v[1], received, Clock.RECEIPT)


def _asked_for(keys: Iterable[str], markets: Sequence[Market]) -> dict[str, str]:
    """Return which symbol each key of an answer is of.

    After the listing, a pair's name is the key. Before, it is base + quote as we spell it (USDTUSD, XBTUSDQ), while the
    key may have a prefix before either half (USDTZUSD, XXBTUSDQ). A key that would fit several pairs fits none.
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
    """Return the name with XBT for BTC: without base and quote it is asked for as written, and answered as XBT."""
    for ours, theirs in _THEIR_NAMES.items():
        before, after = ours.upper(), theirs.upper()
        if name.startswith(before):
            name = after + name.removeprefix(before)
        if name.endswith(before):
            name = name.removesuffix(before) + after
    return name


def _market(key: str, said: _Listed) -> Market:
    base, _, quote = said.wsname.lower().partition("/")
    base, quote = _OUR_NAMES.get(base, base), _OUR_NAMES.get(quote, quote)
    return Market(base + quote, key, said.status == "online", base, quote)


def _raise_for(errors: Sequence[str], now: float) -> None:
    for error in errors:
        if error.startswith(_UNKNOWN):
            raise NotListed(error[:200])
        if throttled := _THROTTLED.match(error):
            raise RateLimited(error[:200], max(0.0, int(throttled[1]) - now))
        if "limit exceeded" in error or "Too many requests" in error or "Temporary lockout" in error:
            raise RateLimited(error[:200])
        if error.startswith(("EService:Unavailable", "EService:Busy", "EService:Market in")):
            raise Maintenance(error[:200])
        if error.startswith("E"):
            raise ExchangeHttpError(error[:200])
