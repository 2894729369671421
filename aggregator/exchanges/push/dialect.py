"""What a push dialect file has to offer, and the news it reads out of frames."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec

from aggregator.errors import Undecodable
from aggregator.models import Asset

T = TypeVar("T")


class Pushed(msgspec.Struct, gc=False, frozen=True):
    """A ticker, by the exchange's `name` of the pair: price in quote units, volume in base units, unix seconds.

    Without a timestamp, it has that of its receipt. `order` never falls from one ticker of a pair to the next. `trade`
    numbers its newest trade, where beats speak of that.
    """

    name: str
    price: Decimal
    volume: Decimal
    timestamp: float | None
    order: int
    trade: int = 0


class Beat(msgspec.Struct, gc=False, frozen=True):
    """The pair is alive, and this is its newest trade; 0 where the exchange does not say."""

    name: str
    trade: int = 0


class Refused(msgspec.Struct, gc=False, frozen=True):
    """The exchange does not push this pair."""

    name: str
    why: str


class Shutdown(msgspec.Struct, gc=False, frozen=True):
    """The exchange will end this connection soon and wants a new one to be opened at once."""


News = Pushed | Beat | Refused


class PushDialect(Protocol):
    """What is particular to one exchange: where it pushes, how much, how to ask for it and how to read it. Pure."""

    public_url: str  # used when the settings give none
    path: str  # behind the address
    most_symbols: int  # on one connection
    most_together: int  # in one subscription
    pause: float  # seconds between two of our messages

    def spell(self, asset: Asset) -> str:
        """Return the exchange's name of the pair; empty when it cannot be told."""

    def subscribe(self, names: Sequence[str]) -> str:
        """Return the message that asks for these pairs."""

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return the message that asks for no more of them."""

    def read(self, frame: str) -> Sequence[News | Shutdown]:
        """Read a frame; greetings and receipts are no news. Raises Undecodable."""


def decoded(decoder: msgspec.json.Decoder[T], frame: str) -> T:
    """Decode a frame. Raises Undecodable."""
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Undecodable(str(error)) from error
