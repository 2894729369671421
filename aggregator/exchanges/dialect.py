"""What an exchange's dialect file has to offer, and what it is given to read."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from aggregator.errors import ExchangeError
from aggregator.models import Asset, Ticker


class Answer(msgspec.Struct, frozen=True):
    """An answer with status 200: its body, and its Date header, the exchange's clock for those who say no better."""

    body: bytes
    date: str = ""


# By the symbol asked for: its ticker, or what the exchange said instead. Who is not in it is not listed there.
Tickers = Mapping[str, Ticker | ExchangeError]


class Dialect(Protocol):
    """What is particular to one exchange: two pure functions, where it lives, and how much it takes at once."""

    public_url: str  # used when the settings give only a name; empty when there is none
    most_symbols: int  # in one call; with 1, both functions get one asset each time

    def path(self, assets: Sequence[Asset]) -> str:
        """Return path and query, as they are sent, that ask for the tickers. Raises NotListed when it cannot ask."""

    def parse(self, exchange: str, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Read the answer. Raises Undecodable, or what else the exchange says of the whole call, such as NotListed."""
