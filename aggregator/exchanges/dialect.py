"""What an exchange's dialect file has to offer, and what it is given to read."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from aggregator.errors import ExchangeError, Undecodable
from aggregator.models import Asset, Ticker

T = TypeVar("T")

_TAG = re.compile(r"<[^>]*>")
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)


class Answer(msgspec.Struct, frozen=True):
    """An answer with status 200: its body, and when it reached us (unix seconds), for those who tell no time."""

    body: bytes
    received: float = 0.0


class Market(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """A pair at one exchange: our symbol, the exchange's name for it, and whether it is traded there now.

    `base` and `quote` are ours, in lower case, where they come from a listing.
    """

    symbol: str
    name: str
    trading: bool = True
    base: str = ""
    quote: str = ""


class Day(msgspec.Struct, frozen=True):
    """The last 24 hours of a market, by the exchange's name of it: volume in base units, and the last price if told."""

    name: str
    volume: Decimal
    price: Decimal | None = None


class Limit(msgspec.Struct, frozen=True):
    """A rate limit as an exchange documents it: at most `most` in any `seconds`, for one IP address."""

    most: float
    seconds: float


class Bucket(msgspec.Struct, frozen=True):
    """The token bucket that keeps an exchange's documented limits: `burst` tokens, refilled at `a_second`.

    In calls, or in the weights that the exchange gives its calls. A bucket lets `burst + a_second * seconds` through in
    the worst window of that length, so this, in whole tokens, must not exceed any of the documented `limits`.
    """

    a_second: float
    burst: float
    limits: tuple[Limit, ...] = ()


# By our symbol: its ticker, or what the exchange said instead. Who is not in it is not listed there.
Tickers = Mapping[str, Ticker | ExchangeError]


class Dialect(Protocol):
    """What is particular to one exchange: pure functions, where it lives, and how much it takes at once."""

    public_url: str  # used when the settings give only a name; empty when there is none
    most_symbols: int  # in one call; with 1, path and parse get one market each time
    budget: Bucket | None = None  # none: ask as often as the settings say
    listing: str = ""  # the path that tells every market; empty: it has none, and is asked for whatever there is
    listing_cost: float = 1
    days: str = ""  # the path that tells the last 24 hours of every market in one answer; empty: there is none
    days_cost: float = 1
    listed_in: re.Pattern[bytes] | None = None  # matches up to the bracket before the first market of a listing

    def name(self, asset: Asset) -> str:
        """Spell the pair without having read the listing. Raises NotListed when that cannot be done."""

    def path(self, markets: Sequence[Market]) -> str:
        """Return the path and query that ask for the tickers, as they are sent."""

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the answer. Raises Undecodable, or what else the exchange says of the whole call, such as NotListed."""

    def markets(self, answer: Answer) -> Iterable[Market]:  # noqa: ARG002  # for those who override it
        """Read the listing. Raises Undecodable, or what else the exchange says."""
        return ()

    def read_days(self, answer: Answer) -> Iterable[Day]:  # noqa: ARG002  # likewise
        """Read the last 24 hours of every market, without those that cannot be read. Raises ExchangeError."""
        return ()

    def cost(self, count: int) -> float:  # noqa: ARG002  # likewise
        """Return what a call for `count` symbols takes from the budget."""
        return 1

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:  # noqa: ARG002  # likewise
        """Return what an answer other than 200 means, where the body says more than the status."""
        return None

    def pause(self, headers: Mapping[str, str], now: float) -> float | None:  # noqa: ARG002  # likewise
        """Return for how many seconds not to ask, where it is not Retry-After that says so; `now` in unix seconds."""
        return None


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """Decode, or raise Undecodable; so does what is nested too deep for any decoder."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error


def readable(decoder: msgspec.json.Decoder[T], rows: list[msgspec.Raw]) -> Iterator[T]:
    """Return the rows that can be decoded: of thousands, a few have no price yet, or never had one."""
    for row in rows:
        try:
            yield decode(decoder, row)
        except Undecodable:
            continue


def shown(body: bytes) -> str:
    """Return the beginning of a body that is not JSON, without tags and on one line, for an error's detail."""
    return " ".join(_TAG.sub(" ", body[:2000].decode(errors="replace")).split())[:200]


def attempt(read: Callable[[], T]) -> T | Undecodable:
    """Return what is read, or why it cannot be; without the traceback, which would hold the whole answer."""
    try:
        return read()
    except Undecodable as error:
        return Undecodable(str(error))


def at_most(read: list[T], asked: int) -> list[T]:
    """Return the tickers of a batch. Raises Undecodable for more of them than were asked for."""
    if len(read) > asked:
        raise Undecodable(f"{len(read)} tickers instead of {asked}")
    return read


def whole(text: str) -> int | None:
    """Read a header that is a number without sign; None for anything else."""
    return int(text) if _WHOLE.fullmatch(text) else None


def in_path(name: str) -> str:
    """Quote an exchange's name for a pair: it comes from the exchange, and must not lead anywhere else."""
    return quote(name, safe="")
