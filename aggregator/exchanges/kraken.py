"""Kraken: `GET /0/public/Ticker?pair=XBTUSDT`; errors come with a 200.

The ticker says no time, so the Date header of the answer is taken: Kraken's clock, to the second. A feed that stands
still behind a living web server does not show in it. Result keys are Kraken's own names (XXBTZUSD for XBTUSD), so the
answer must hold just one pair, the one asked for.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

import msgspec

from aggregator.errors import ExchangeHttpError, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import Answer, Tickers
from aggregator.models import Asset, Ticker

_THEIR_NAMES = {"btc": "xbt", "doge": "xdg"}


class _Pair(msgspec.Struct):
    c: tuple[Decimal, Decimal]  # last trade: price, its volume
    v: tuple[Decimal, Decimal]  # base volume: today, last 24 hours


class _Body(msgspec.Struct):
    error: list[str]
    result: dict[str, _Pair] = {}


class Kraken:
    """The dialect."""

    public_url = "https://api.kraken.com"
    most_symbols = 1

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def path(self, assets: Sequence[Asset]) -> str:
        """Return the ticker's path; where base and quote are known, in Kraken's names for them."""
        asset = assets[0]
        parts = (asset.base, asset.quote) if asset.base and asset.quote else (asset.symbol,)
        return "/0/public/Ticker?pair=" + "".join(_THEIR_NAMES.get(part, part) for part in parts).upper()

    def parse(self, exchange: str, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Read the ticker."""
        try:
            said = self._decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error
        _raise_for(said.error)
        if len(said.result) != 1:
            raise Undecodable(f"{len(said.result)} pairs instead of one")
        (pair,) = said.result.values()
        symbol = assets[0].symbol
        return {symbol: Ticker(exchange, symbol, pair.c[0], pair.v[1], _date(answer.date).timestamp())}


def _raise_for(errors: list[str]) -> None:
    for error in errors:
        if error.startswith("EQuery:Unknown asset pair"):
            raise NotListed(error)
        if "limit exceeded" in error or "Too many requests" in error:
            raise RateLimited(error)
        if error.startswith("E"):
            raise ExchangeHttpError(error[:200])


def _date(header: str) -> datetime:
    try:
        date = parsedate_to_datetime(header)
    except ValueError as error:
        raise Undecodable("no Date header") from error
    if date.tzinfo is None:
        raise Undecodable("a Date header without its zone")
    return date
