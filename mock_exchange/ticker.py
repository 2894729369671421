"""Tickers as JSON bytes, numbers written out in full (0.0000123, never 1.23e-05)."""

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import NamedTuple

import msgspec

MOST_DIGITS = Context(prec=10)


class Ticker(NamedTuple):
    """One ticker: price in units of the quote, volume in units of the base, unix seconds.

    A price given as text is written unchanged, even if it is no number.
    """

    symbol: str
    price: Decimal | str
    volume: Decimal
    timestamp: float

    def json(self) -> str:
        """Return `{"symbol":...,"price":...,"volume":...,"timestamp":...}`, the time with milliseconds."""
        price = self.price if isinstance(self.price, str) else f"{self.price:f}"
        figures = f'"price":{price},"volume":{self.volume:f},"timestamp":{self.timestamp:.3f}'
        return f'{{"symbol":"{self.symbol}",{figures}}}'


def scaled(price: Decimal, factor: float) -> Decimal:
    """Return price x factor, rounded to 10 significant digits."""
    return price if factor == 1 else MOST_DIGITS.multiply(price, Decimal(str(factor)))


def batch_json(tickers: Iterable[Ticker], unknown: list[str]) -> bytes:
    """Return `{"tickers":[...],"unknown":[...]}`."""
    body = ",".join(ticker.json() for ticker in tickers)
    return f'{{"tickers":[{body}],"unknown":'.encode() + msgspec.json.encode(unknown) + b"}"
