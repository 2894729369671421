"""What an exchange's dialect file has to offer, and what it is given to read."""

from typing import Protocol

import msgspec

from aggregator.models import Asset, Ticker


class Answer(msgspec.Struct, frozen=True):
    """An answer with status 200: its body, and its Date header, the exchange's clock for those who say no better."""

    body: bytes
    date: str = ""


class Dialect(Protocol):
    """What is particular to one exchange: two pure functions and where it lives."""

    public_url: str  # used when the settings give only a name; empty when there is none

    def path(self, asset: Asset) -> str:
        """Return the path and query that ask for the asset's ticker. Raises NotListed when it cannot be asked for."""

    def parse(self, exchange: str, asset: Asset, answer: Answer) -> Ticker:
        """Read the answer. Raises Undecodable, or what else the exchange says with a 200, such as NotListed."""
